"""Runs moto's server (CloudWatch, S3, SNS), in memory. Entry point `python -m deploy.local.cloudwatch`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from recount.errors import SetupError
from recount.settings import Settings


def port_of(settings: Settings) -> int:
    port = urlsplit(settings.cloudwatch).port
    if port is None:
        raise SetupError(
            "cloudwatch", f"RECOUNT_CLOUDWATCH={settings.cloudwatch!r}", "give it as http://127.0.0.1:<port>"
        )
    return port


def application() -> Callable[..., Any]:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    dispatcher: Callable[..., Any] = DomainDispatcherApplication(create_backend_app)
    return dispatcher


def main() -> None:
    from granian import Granian
    from granian.constants import Interfaces

    settings = Settings.from_env()
    Granian(
        "deploy.local.cloudwatch:application",
        address=settings.host,
        port=port_of(settings),
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,  # its state lives in the process
        blocking_threads=4,
        backpressure=4,
        websockets=False,
    ).serve()


if __name__ == "__main__":
    main()

"""Runs moto's server (CloudWatch, S3, SNS), in memory. Entry point `python -m deploy.local.cloudwatch`.

It keeps one object a counted value, which is one an event, and every read goes through all of them: without a
limit an hour of traffic takes gigabytes, and it stops answering within minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from recount.errors import SetupError
from recount.settings import Settings

POINTS_MAX: Final = 50_000  # a read takes about half a second then
POINTS_DROPPED_AT_ONCE: Final = 5_000


class Newest(list[Any]):
    """A list that forgets its oldest entries."""

    def append(self, point: Any) -> None:
        super().append(point)
        if len(self) > POINTS_MAX:
            del self[:POINTS_DROPPED_AT_ONCE]


def port_of(settings: Settings) -> int:
    port = urlsplit(settings.cloudwatch).port
    if port is None:
        raise SetupError(
            "cloudwatch", f"RECOUNT_CLOUDWATCH={settings.cloudwatch!r}", "give it as http://127.0.0.1:<port>"
        )
    return port


def application() -> Callable[..., Any]:
    from moto.cloudwatch.models import CloudWatchBackend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    made = CloudWatchBackend.__init__

    def bounded(backend: CloudWatchBackend, region_name: str, account_id: str) -> None:
        made(backend, region_name, account_id)
        backend.metric_data = Newest()

    # A class of our own would not do: moto finds its routes by the module of the class.
    CloudWatchBackend.__init__ = bounded  # type: ignore[method-assign,assignment]

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

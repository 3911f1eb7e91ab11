"""Becomes one instance of a scalable part: its port is the first one plus its worker number.

Entry point `python -m deploy.local.instance VARIABLE FIRST_PORT WORKER MODULE...`; workers count from 1.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Collection

from deploy.local.layout import Layout
from recount.settings import Settings


def main() -> None:
    variable, first_port, worker, *module = sys.argv[1:]
    port = int(first_port) + int(worker) - 1
    os.environ[variable] = str(port)
    take_port(Layout.of(Settings.from_env()), port)
    sys.argv = module
    runpy.run_module(module[0], run_name="__main__", alter_sys=True)


def take_port(layout: Layout, port: int) -> None:
    """From now on the port is this process's. What others see of its environment may be that of another one,
    from which it was forked."""
    layout.instances.mkdir(parents=True, exist_ok=True)
    (layout.instances / str(port)).write_text(str(os.getpid()))


def forget_ports(layout: Layout) -> None:
    """Before a start: by now the numbers of processes that have gone may be those of others."""
    for file in layout.instances.glob("*"):
        file.unlink(missing_ok=True)


def ports_of(layout: Layout, pids: Collection[int]) -> list[int]:
    """The ports that these processes have taken, in order."""
    owners = {int(file.name): file.read_text() for file in layout.instances.glob("[0-9]*")}
    return sorted(port for port, owner in owners.items() if owner.isdigit() and int(owner) in pids)


if __name__ == "__main__":
    main()

"""Becomes one instance of a scalable part: its port is the first one plus its worker number.

Entry point `python -m deploy.local.instance VARIABLE FIRST_PORT WORKER MODULE...`; workers count from 1.
"""

from __future__ import annotations

import os
import runpy
import sys


def main() -> None:
    variable, first_port, worker, *module = sys.argv[1:]
    os.environ[variable] = str(int(first_port) + int(worker) - 1)
    sys.argv = module
    runpy.run_module(module[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

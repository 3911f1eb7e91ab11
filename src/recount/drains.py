"""Which instances of this host are to drain: to leave the directory and serve on until they are stopped.

A flag is a file below the state folder, where the spools are too. So it outlives whoever set it and whoever
obeys it, and no request, whichever way it came, can set one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

DRAINING: Final = "draining"  # what /readyz says then: takes what comes, wants no more


class Drains:
    """One file an instance, named by its id; all calls are harmless to repeat."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def ask(self, instance: str) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        (self._root / instance).touch()

    def cancel(self, instance: str) -> None:
        (self._root / instance).unlink(missing_ok=True)

    def asked(self, instance: str) -> bool:
        return (self._root / instance).exists()

    def clear(self) -> None:
        """Cancel all."""
        for flag in self._root.glob("*"):
            flag.unlink(missing_ok=True)

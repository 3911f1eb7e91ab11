"""What a query needs of the live service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recount.counting.rollup import Rollup


@dataclass(frozen=True)
class LiveHours:
    """What the live service has of some hours: their rollup, and which of them it has seen from the start."""

    rollup: Rollup
    hours: frozenset[str]
    as_of_ms: int


class LiveSource(Protocol):
    """The live service, or nothing."""

    def hours(self, site: str, hours: Sequence[str]) -> LiveHours | None:
        """The live rollup of hours; None where no instance answers. Never raises for an outage."""
        ...

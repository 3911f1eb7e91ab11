"""How far `store_batches` is behind the topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orchestration.log import Log
from orchestration.steps.completeness import Proven
from recount.kafka import SourcePartition
from recount.store.raw import RawStore

LAG_MAX_RECORDS: Final = 100_000  # some minutes of a busy topic; a stopped Lambda passes it soon


@dataclass(frozen=True)
class Lag:
    """One source partition: its end offset, and how many records below it no receipt covers."""

    source: SourcePartition
    end: int
    unstored: int


def lags(log: Log, raw: RawStore, proven: Proven) -> list[Lag]:
    """Every source partition, in order. Raises Unavailable where the log does not answer."""
    found = []
    for source, (_, end) in sorted(log.ranges().items()):
        gaps = raw.missing(source, min(proven.offset(source), end), end)
        found.append(Lag(source, end, sum(stop - start for start, stop in gaps)))
    return found

"""Topics in memory, with the behaviour that the contract suite checks on Kafka too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestration.log import Records
from recount.errors import Unavailable
from recount.kafka import SourcePartition


class MemoryLog:
    """Records by source partition; the oldest can be made to go, as retention does."""

    def __init__(self, *sources: SourcePartition) -> None:
        self._records: dict[SourcePartition, list[bytes]] = {source: [] for source in sources}
        self._oldest: dict[SourcePartition, int] = dict.fromkeys(sources, 0)
        self.away = False
        self.unreadable = False  # the ends are known, but records do not come

    def append(self, source: SourcePartition, values: Sequence[bytes]) -> list[int]:
        """Returns the offsets given."""
        records = self._records[source]
        first = len(records)
        records.extend(values)
        return list(range(first, len(records)))

    def expire(self, source: SourcePartition, oldest: int) -> None:
        """Everything below `oldest` is gone."""
        self._oldest[source] = oldest

    def ranges(self) -> dict[SourcePartition, tuple[int, int]]:
        self._answer()
        return {source: (self._oldest[source], len(records)) for source, records in self._records.items()}

    def read(self, source: SourcePartition, start: int, end: int) -> Iterator[Records]:
        self._answer()
        if self.unreadable:
            raise Unavailable("log", "reads time out")
        records = self._records[source]
        found = [(n, records[n]) for n in range(max(start, self._oldest[source]), min(end, len(records)))]
        for first in range(0, len(found), 2):  # small batches, as a slow broker gives
            yield found[first : first + 2]

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("log", "does not answer")

"""Proof that everything below the cut is stored: receipts without a gap, or a hole that is on record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from orchestration.log import Log
from orchestration.steps.cut import TakenCut, key, source_of
from recount.columns import positions
from recount.errors import Incomplete, Unavailable
from recount.kafka import Offsets, SourcePartition
from recount.quarantine import DeadLetter
from recount.store.raw import RawStore
from recount.store.receipts import Span
from recount.store.table import Table

ASK_EVERY_S: Final = 0.5
PROVEN: Final = "proven"
HOLES: Final = "hole"


@dataclass(frozen=True, order=True)
class Interval:
    """Offsets [start, end) of a source partition."""

    source: SourcePartition
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.source[0]}/{self.source[1]} offsets {self.start} to {self.end - 1}"


@dataclass(frozen=True)
class Proof:
    """What was found below the cut. `missing` blocks publishing; `holes` are gone for ever and shown."""

    missing: tuple[Interval, ...]
    holes: tuple[Interval, ...]
    reread_events: int
    waited_ms: int
    detail: str = ""

    @property
    def complete(self) -> bool:
        return not self.missing


class Proven:
    """The offset of each source partition below which everything is proven, and the holes on record.

    Everything below is covered by receipts or is a recorded hole, so no later run has to look there again,
    also when those receipts have expired.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def offset(self, source: SourcePartition) -> int:
        item = self._table.get((PROVEN, key(source)), consistent=True)
        return 0 if item is None else int(item["offset"])

    def advance(self, source: SourcePartition, offset: int) -> None:
        """Never moves back."""
        if offset > self.offset(source):
            self._table.put({"pk": PROVEN, "sk": key(source), "offset": offset})

    def record(self, hole: Interval, now_ms: int) -> None:
        sk = f"{key(hole.source)}#{hole.start:020d}#{hole.end:020d}"
        self._table.put({"pk": HOLES, "sk": sk, "found_ms": now_ms})

    def holes(self) -> list[Interval]:
        """Every hole ever recorded, by source partition and offset."""
        return [hole for hole, _ in self.holes_found()]

    def spans(self) -> dict[SourcePartition, list[Span]]:
        """The same as offsets [start, end) of each source partition."""
        found: dict[SourcePartition, list[Span]] = {}
        for hole in self.holes():
            found.setdefault(hole.source, []).append((hole.start, hole.end))
        return found

    def holes_found(self) -> list[tuple[Interval, int]]:
        """The same with the moment each was found (ms UTC)."""
        return [(_hole(item["sk"]), item["found_ms"]) for item in self._table.query(HOLES)]


@dataclass(frozen=True)
class Prover:
    """Proves cuts. `catch_up_ms` bounds the wait for `store_batches`."""

    raw: RawStore
    log: Log
    proven: Proven
    quarantine: Callable[[Sequence[DeadLetter]], None]
    catch_up_ms: int
    now_ms: Callable[[], int]
    sleep: Callable[[float], None]

    def prove(self, cut: TakenCut) -> Proof:
        """Wait for receipts up to the cut, read again from the log what they leave out, record what is gone.

        Raises Incomplete where the log ends before what was proven earlier: then it is not the same log.
        """
        _same_log(cut.offsets, self.proven)
        gaps, waited = self._wait(cut)
        reread, detail = 0, ""
        try:
            reread = sum(self._reread(gap) for gap in gaps)
        except Unavailable as error:
            detail = str(error)
        left = self._gaps(cut.offsets) if gaps else []
        holes = [] if detail else left
        for hole in holes:
            self.proven.record(hole, self.now_ms())
        proof = Proof(tuple(left if detail else ()), tuple(holes), reread, waited, detail)
        if proof.complete:
            for source, end in cut.offsets.items():
                self.proven.advance(source, end)
        return proof

    def _wait(self, cut: TakenCut) -> tuple[list[Interval], int]:
        started = self.now_ms()
        while True:
            gaps = self._gaps(cut.offsets)
            waited = self.now_ms() - started
            coming = [gap for gap in gaps if gap.end > cut.oldest.get(gap.source, 0)]
            if not coming or waited >= self.catch_up_ms:
                return gaps, waited
            self.sleep(ASK_EVERY_S)

    def _gaps(self, cut: Offsets) -> list[Interval]:
        return [
            Interval(source, start, stop)
            for source, end in sorted(cut.items())
            for start, stop in self.raw.missing(source, self.proven.offset(source), end)
        ]

    def _reread(self, gap: Interval) -> int:
        """Store the records of a gap as `store_batches` would; receipts cover only what was really read."""
        topic, partition = gap.source
        count = 0
        for records in self.log.read(gap.source, gap.start, gap.end):
            places = positions(topic, partition, [offset for offset, _ in records])
            batch = self.raw.prepare([value for _, value in records], places, self.now_ms())
            self.raw.write(batch, self.quarantine)
            count += len(records)
        return count


def receipted(raw: RawStore, since: Offsets, until: Offsets) -> dict[str, int]:
    """Events of each hour that receipts within [since, until) promise, overlapping ones counted once.

    A lower bound: of two receipts that overlap only the first counts.
    """
    counts: dict[str, int] = {}
    for source, end in until.items():
        at = since.get(source, 0)
        for receipt in raw.receipts(source, at, end=end):
            if receipt.first >= at and receipt.next <= end:
                at = receipt.next
                for hour, events in receipt.hours.items():
                    counts[hour] = counts.get(hour, 0) + events
    return counts


def in_words(intervals: Iterable[Interval]) -> str:
    """For metadata, checks and messages."""
    return "; ".join(map(str, intervals)) or "none"


def _same_log(cut: Offsets, proven: Proven) -> None:
    for source, end in cut.items():
        before = proven.offset(source)
        if end < before:
            raise Incomplete(
                f"{key(source)} ends at offset {end}, but was proven up to {before}: the topic was made "
                "anew. Use new tables and a new archive with it, or give the topic another name."
            )


def _hole(sk: str) -> Interval:
    source, start, end = sk.split("#")
    return Interval(source_of(source), int(start), int(end))

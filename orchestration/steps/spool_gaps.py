"""Numbers that a spool gave out, that Kafka acknowledged, and that are in no receipt: lost on the way.

The shippers say up to which number all is in Kafka; then the topic's ends are taken; once receipts reach
these ends, every number up to there has to be in one of them, or in a shipper's quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from orchestration.log import Log
from orchestration.spools import Lost, Spools
from orchestration.steps.cut import key
from orchestration.steps.reconcile import NO_HOLES, Holes, new_receipts, reached
from recount.kafka import EVENTS, SourcePartition
from recount.seqs import Range, missing, union, unpack
from recount.store.raw import RawStore
from recount.store.receipts import Receipt, Span

SPOOLS_MAX: Final = 2_000  # finished ones are remembered by one number each, the newest of them
RANGES_MAX: Final = 5_000  # of one spool


class Seen(msgspec.Struct, kw_only=True):
    """Of one spool: every number up to `upto`, and `beyond` it these ranges."""

    upto: int
    beyond: list[Range] = []

    def add(self, ranges: Iterable[Range]) -> None:
        merged = union([(0, self.upto), *self.beyond, *ranges])
        self.upto, self.beyond = merged[0][1], merged[1:][-RANGES_MAX:]

    @property
    def last(self) -> int:
        return self.beyond[-1][1] if self.beyond else self.upto


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be judged once receipts reach `ends`: all up to `shipped` of each spool."""

    shipped: dict[str, int]
    ends: dict[str, int]


class SpoolWatch(msgspec.Struct, kw_only=True):
    """`at`: receipts below were read, by source partition; `forgotten`: spools up to this id are not judged
    (ids are in the order of their making); `lost`: what is missing, by spool."""

    at: dict[str, int] = {}
    spools: dict[str, Seen] = {}
    forgotten: str = ""
    asked: Question | None = None
    lost: dict[str, list[Range]] = {}


def watch_spools(watch: SpoolWatch, raw: RawStore, log: Log, spools: Spools, holes: Holes = NO_HOLES) -> None:
    """Changes `watch`. Raises Unavailable where the log or the table is away."""
    if watch.asked is None:
        shipped = {r.spool: r.shipped_seq for r in spools.reports() if r.shipped_seq is not None}
        ends = {key(source): end for source, (_, end) in log.ranges().items() if source[0] == EVENTS}
        watch.asked = Question(shipped=shipped, ends=ends)
    for source in sorted(source for source in log.ranges() if source[0] == EVENTS):
        _read(watch, raw, source, holes.get(source, ()))
    if all(watch.at.get(name, 0) >= end for name, end in watch.asked.ends.items()):
        _judge(watch, watch.asked, spools.lost())
        watch.asked = None


def _read(watch: SpoolWatch, raw: RawStore, source: SourcePartition, holes: Sequence[Span]) -> None:
    """Receipts go back as far as they are kept: of an older spool the first number seen is the first."""
    name = key(source)
    receipts = new_receipts(raw, source, watch.at.get(name, 0))
    begins_late = bool(receipts) and name not in watch.at and receipts[0].first > 0
    at = watch.at.get(name, receipts[0].first if begins_late else 0)
    end = reached(receipts, at, holes)
    for receipt in receipts:
        if receipt.first < end:
            _note(watch, receipt, begins_late=begins_late)
    if receipts or end:
        watch.at[name] = end


def _note(watch: SpoolWatch, receipt: Receipt, *, begins_late: bool) -> None:
    for spool, packed in receipt.spools.items():
        ranges = unpack(packed)
        if spool not in watch.spools:
            if spool <= watch.forgotten:
                continue
            watch.spools[spool] = Seen(upto=ranges[0][0] - 1 if begins_late else 0)
        watch.spools[spool].add(ranges)


def _judge(watch: SpoolWatch, asked: Question, quarantined: Sequence[Lost]) -> None:
    watch.lost = {}
    for spool, seen in watch.spools.items():
        seen.add((q.first, q.last) for q in quarantined if q.spool == spool and q.first <= q.last)
        gaps = missing(seen.beyond, seen.upto + 1, asked.shipped.get(spool, seen.last))
        if gaps:
            watch.lost[spool] = gaps
    finished = sorted(s for s in watch.spools if s not in asked.shipped and s not in watch.lost)
    for spool in finished[: max(0, len(watch.spools) - SPOOLS_MAX)]:
        watch.forgotten = max(watch.forgotten, spool)
        del watch.spools[spool]

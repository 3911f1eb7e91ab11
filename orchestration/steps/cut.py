"""The cut: up to which offset of each source partition an hour looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from orchestration.log import Log
from orchestration.spools import SpoolReport, Spools, Unshipped
from recount.kafka import Offsets, SourcePartition

ASK_EVERY_S: Final = 0.5


@dataclass(frozen=True)
class TakenCut:
    """End offsets, when they were taken, the spools whose events could not be waited for any longer, and
    what was not in Kafka just before."""

    offsets: Offsets
    oldest: Offsets
    taken_ms: int
    waited_ms: int
    pending: tuple[SpoolReport, ...]
    unshipped: Unshipped = field(default_factory=Unshipped)


def take(
    log: Log,
    spools: Spools,
    *,
    before_ms: int,
    wait_ms: int,
    now_ms: Callable[[], int],
    sleep: Callable[[float], None],
) -> TakenCut:
    """The end offsets, once every living spool has shipped what it took before `before_ms`.

    When `wait_ms` is over it is taken all the same: the events still in spools are `pending`, and their hour
    becomes stale when they arrive. Raises Unavailable where the log does not answer.
    """
    started = now_ms()
    while True:
        behind = tuple(r for r in spools.reports() if _is_behind(r, before_ms))
        waited = now_ms() - started
        if not behind or waited >= wait_ms:
            unshipped = spools.unshipped(before_ms)  # before the ends: what is in both is archived
            ranges = log.ranges()
            return TakenCut(
                offsets={source: end for source, (_, end) in ranges.items()},
                oldest={source: oldest for source, (oldest, _) in ranges.items()},
                taken_ms=now_ms(),
                waited_ms=waited,
                pending=behind,
                unshipped=unshipped,
            )
        sleep(ASK_EVERY_S)


def key(source: SourcePartition) -> str:
    """A source partition as text, `events/00003`."""
    return f"{source[0]}/{source[1]:05d}"


def source_of(text: str) -> SourcePartition:
    """The inverse of `key`."""
    topic, _, partition = text.rpartition("/")
    return topic, int(partition)


def texts(offsets: Offsets) -> dict[str, int]:
    """Offsets by their source partition's text, in order."""
    return {key(source): offsets[source] for source in sorted(offsets)}


def _is_behind(report: SpoolReport, before_ms: int) -> bool:
    return report.silent or (
        report.oldest_unshipped_ms is not None and report.oldest_unshipped_ms < before_ms
    )

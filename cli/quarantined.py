"""Everything in quarantine as the commands see it: the topic of dead letters, and pieces of spools."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from rich.console import Console

from cli.context import CliContext
from cli.progress import counting
from edge import pieces
from recount.dead_letters import DeadTopic, Fate, Fates, Kept, Outcome, Retrier
from recount.erasing.matching import hit_of, redacted
from recount.kafka import producer
from recount.quarantine import send_back
from recount.store.catalog import Catalog
from recount.store.raw import RawStore
from recount.store.tombstones import Tombstones

LOOKED_UP_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Listed:
    """A letter and what became of it; `reason` is that of the last try."""

    letter: Kept
    fate: Fate

    @property
    def reason(self) -> str:
        return self.fate.reason if self.fate.state == "failing" else self.letter.reason


@dataclass(frozen=True)
class Row:
    """A letter without its record: what a list of many holds."""

    id: str
    reason: str
    first_reason: str
    quarantined_ms: int
    site: str | None
    hour: str | None
    spool: str | None
    seq: int | None
    state: str
    tries: int
    tried_ms: int | None

    @classmethod
    def of(cls, listed: Listed) -> Row:
        letter, seen, fate = listed.letter, listed.letter.seen, listed.fate
        return cls(
            id=letter.id,
            reason=listed.reason,
            first_reason=letter.reason,
            quarantined_ms=letter.kept_ms,
            site=seen.site,
            hour=seen.hour,
            spool=seen.spool,
            seq=seen.seq,
            state=fate.state,
            tries=fate.tries,
            tried_ms=fate.at_ms or None,
        )


class Quarantine:
    """Letters of both kinds, oldest first within each, with a bar while they are read."""

    def __init__(self, context: CliContext, last: int) -> None:
        settings, tables = context.settings, context.tables()
        self.buried = Tombstones(tables.catalog).active()
        self._sites = Catalog(tables.catalog).sites()
        self._settings = settings
        self._topic = DeadTopic(settings, last)
        self.left_out = self._topic.left_out
        self.fates = Fates(tables.catalog)
        self.retrier = Retrier(
            RawStore(tables.raw, settings, lambda: self.buried),
            self.fates,
            partial(send_back, producer(settings)),
            lambda: time.time_ns() // 1_000_000,
        )

    def letters(self, label: str) -> Iterator[Listed]:
        batch: list[Kept] = []
        for letter in self._letters(label):
            batch.append(letter)
            if len(batch) == LOOKED_UP_AT_ONCE:
                yield from self._with_fates(batch)
                batch = []
        yield from self._with_fates(batch)

    def retry(self, batch: Sequence[Listed], *, dry_run: bool) -> list[Outcome]:
        return self.retrier.retry([listed.letter for listed in batch], dry_run=dry_run)

    def _letters(self, label: str) -> Iterator[Kept]:
        """What an erasure takes is not there any more, though Kafka keeps it until its time is over."""
        for letter in self._stored(label):
            if hit_of(letter.value, self.buried) is None:
                yield replace(letter, value=redacted(letter.value, self.buried))

    def _stored(self, label: str) -> Iterator[Kept]:
        with counting(label, self._topic.total, Console(stderr=True)) as advance:
            yield from self._topic.read(advance)
        yield from pieces.letters(self._settings.spool_root, self._sites, self._settings.kafka_partitions)

    def _with_fates(self, letters: Sequence[Kept]) -> Iterator[Listed]:
        fates = self.fates.of(letter.id for letter in letters)
        for letter in letters:
            yield Listed(letter, fates.get(letter.id, Fate()))


def moment(ms: int) -> str:
    """A moment for people, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")

"""Dead letters read back: what lies in quarantine, what became of it, and its way back behind the door.

A letter is replayed as the record it was: time, id, country and visitor hash are those that the door gave it.
So a letter that is replayed twice is one event, by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

from confluent_kafka import Consumer, Message, TopicPartition

from recount.columns import PoisonReason, fault, positions
from recount.erasing.matching import hit_of
from recount.errors import Unavailable
from recount.event import ERASED
from recount.glimpse import Glimpse, glimpse
from recount.kafka import DEAD, TIMEOUT_S, SourcePartition, consumer, offset_ranges, source_partitions
from recount.quarantine import DeadLetter, Replay
from recount.settings import Settings
from recount.store.raw import RawStore
from recount.store.table import Item, Table

LETTERS_MAX: Final = 100_000  # of the topic's newest, unless told otherwise
AT_ONCE_MAX: Final = 1_000
READ_MAX_RECORDS: Final = 500
FATES: Final = "dead"  # partition key in the catalog
DETAIL_MAX_CHARS: Final = 500
REFUSED: Final = "kafka_refuses"
ERASED_DETAIL: Final = "taken by erasure {}: it is never counted again"
NOTHING_WHOLE: Final = "no whole event can be found in it"
_OUTSIDE: Final = {
    PoisonReason.TOO_OLD: "older than what the archive takes (archive_retention_days)",
    PoisonReason.IN_THE_FUTURE: "more than two days ahead",
}

State = Literal["waiting", "failing", "replayed"]


@dataclass(frozen=True)
class Kept:
    """One record in quarantine.

    `id` is `topic/partition/offset` of the record it was; `source` is where a replay goes (None: nowhere, it
    holds no whole event); `kept_ms` when it was quarantined.
    """

    id: str
    reason: str
    kept_ms: int
    value: bytes
    source: SourcePartition | None

    @property
    def seen(self) -> Glimpse:
        return glimpse(self.value)


@dataclass(frozen=True)
class Fate:
    """What retries made of a letter; `reason` and `detail` say why the last one failed."""

    state: State = "waiting"
    at_ms: int = 0
    tries: int = 0
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one retry of one letter came to; `reason` is empty for what can be read now."""

    id: str
    reason: str = ""
    detail: str = ""


class DeadTopic:
    """The newest `limit` letters of the topic, each id once."""

    def __init__(self, settings: Settings, limit: int = LETTERS_MAX) -> None:
        self._settings = settings
        ranges = offset_ranges(settings, source_partitions(settings, (DEAD,)))
        self._spans = {p: (max(low, end - limit), end) for p, (low, end) in ranges.items()}
        self.total = sum(end - start for start, end in self._spans.values())
        self.left_out = sum(start - ranges[p][0] for p, (start, _) in self._spans.items())

    def read(self, progress: Callable[[int], None] = lambda done: None) -> Iterator[Kept]:
        """Raises Unavailable where Kafka stops answering; `progress` is told how many records were read."""
        seen: set[str] = set()
        for done, message in enumerate(self._messages(), 1):
            progress(done)
            headers = dict(cast("list[tuple[str, bytes]]", message.headers() or []))
            letter = DeadLetter.of(headers, message.value() or b"")
            if letter is not None and letter.id not in seen:
                seen.add(letter.id)
                source = (letter.topic, letter.partition)
                yield Kept(letter.id, letter.reason, message.timestamp()[1], letter.value, source)

    def _messages(self) -> Iterator[Message]:
        client = consumer(self._settings, "recount-dead")
        try:
            for (topic, partition), (start, end) in self._spans.items():
                if start < end:
                    client.assign([TopicPartition(topic, partition, start)])
                    yield from _until(client, end)
        finally:
            client.close()


class Fates:
    """What became of letters, by id; kept in the catalog, so that it outlives the letters."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, ids: Iterable[str]) -> dict[str, Fate]:
        """Of the letters that were ever retried."""
        found = self._table.get_many([(FATES, name) for name in ids])
        return {name: _fate(item) for (_, name), item in found.items()}

    def remember(self, outcomes: Sequence[Outcome], now_ms: int) -> None:
        before = self.of(outcome.id for outcome in outcomes)
        self._table.put_many(
            {
                "pk": FATES,
                "sk": outcome.id,
                "state": "failing" if outcome.reason else "replayed",
                "at_ms": now_ms,
                "tries": before.get(outcome.id, Fate()).tries + 1,
                "reason": outcome.reason,
                "detail": outcome.detail[:DETAIL_MAX_CHARS],
            }
            for outcome in outcomes
        )


class Retrier:
    """Puts letters through the reading of today, and those that pass back into their source partitions."""

    def __init__(
        self,
        raw: RawStore,
        fates: Fates,
        send_back: Callable[[Sequence[Replay]], dict[str, str]],
        now_ms: Callable[[], int],
    ) -> None:
        self._raw, self._fates, self._send_back, self._now_ms = raw, fates, send_back, now_ms

    def retry(self, letters: Sequence[Kept], *, dry_run: bool = False) -> list[Outcome]:
        """One outcome a letter. What was replayed is remembered after Kafka has it; Unavailable: do it again.

        With `dry_run` nothing is sent nor remembered.
        """
        outcomes = self.judge(letters)
        if dry_run or not letters:
            return outcomes
        refused = self._send_back(
            [
                Replay(letter.source, letter.value, letter.id)
                for letter, outcome in zip(letters, outcomes, strict=True)
                if not outcome.reason and letter.source is not None
            ]
        )
        outcomes = [Outcome(o.id, REFUSED, refused[o.id]) if o.id in refused else o for o in outcomes]
        self._fates.remember(outcomes, self._now_ms())
        return outcomes

    def judge(self, letters: Sequence[Kept]) -> list[Outcome]:
        """What `store_batches` would say of them now; what was erased never goes back."""
        buried = self._raw.buried()
        values = [letter.value for letter in letters]
        batch = self._raw.prepare(values, positions(DEAD, 0, range(len(values))), self._now_ms())
        reasons = {dead.offset: dead.reason for dead in batch.dead}
        return [
            Outcome(letter.id, letter.reason, NOTHING_WHOLE)
            if letter.source is None
            else Outcome(letter.id, ERASED, ERASED_DETAIL.format(hit.id))
            if (hit := hit_of(letter.value, buried)) is not None
            else Outcome(letter.id, reasons.get(n, ""), why(letter.value, reasons.get(n, "")))
            for n, letter in enumerate(letters)
        ]


def why(value: bytes, reason: str) -> str:
    """A reason in detail; empty where there is none."""
    found = fault(value) if reason else None
    return found.detail if found is not None else _OUTSIDE.get(PoisonReason(reason), "") if reason else ""


def _until(client: Consumer, end: int) -> Iterator[Message]:
    waited_s = 0.0
    while waited_s < TIMEOUT_S:
        messages = client.consume(READ_MAX_RECORDS, timeout=1.0)
        waited_s = 0.0 if messages else waited_s + 1.0
        for message in messages:
            error, offset = message.error(), message.offset()
            if error is not None or offset is None:
                raise Unavailable("kafka", f"{DEAD}: {error}")
            if offset < end:
                yield message
            if offset >= end - 1:
                return
    raise Unavailable("kafka", f"{DEAD}: no record for {TIMEOUT_S:.0f} s before offset {end}")


def _fate(item: Item) -> Fate:
    return Fate(item["state"], item["at_ms"], item["tries"], item["reason"], item["detail"])

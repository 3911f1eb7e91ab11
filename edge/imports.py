"""The import door: dated events, treated as at the front door, straight into the topic `imports`.

No spool: the sender has the data and waits for Kafka's acknowledgement. An import hashes visitors with keys
of its own, one a local day, made at the first event of the day and destroyed when the import is closed.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from edge import policy
from edge.client_event import ClientEvent, Parsed, decode, parse_batch
from edge.door import Answer, Door
from edge.geo import Geo
from edge.policy import Asked, VisitorOf
from edge.rules import SiteRules
from edge.spool_format import shippable
from recount.errors import Refused, Unavailable
from recount.kafka import IMPORTS
from recount.periods import day_of, day_span_ms
from recount.reasons import Reason
from recount.store.catalog import token_digest
from recount.store.salts import Salts, visitor_hex

IMPORT_MAX_EVENTS: Final = 5_000
DELIVERY_TIMEOUT_S: Final = 10.0
POLL_S: Final = 0.1
KEYS_IDLE_S: Final = 900.0
IMPORT_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct, gc=False):
    import_id: str = msgspec.field(name="import")
    events: msgspec.Raw
    site: str | None = None


class _CloseRequest(msgspec.Struct, gc=False):
    site: str | None = None


_requests: Final = msgspec.json.Decoder(_Request)
_close_requests: Final = msgspec.json.Decoder(_CloseRequest)


class _Keys:
    """The keys of one import in this process: (start, end, key) of each local day met."""

    def __init__(self, salts: Salts, import_id: str) -> None:
        self._salts = salts
        self._import_id = import_id
        self._last = (0, 0, b"")
        self._days: dict[str, tuple[int, int, bytes]] = {}
        self.used_at = time.monotonic()

    def of(self, rules: SiteRules, ts: int) -> bytes:
        start, end, key = self._last
        if not start <= ts < end:
            day = day_of(ts, rules.site.timezone)
            window = self._days.get(day)
            if window is None:
                key = self._salts.of(rules.site.id, f"{self._import_id}/{day}")
                window = self._days[day] = (*day_span_ms(day, rules.site.timezone), key)
            self._last = window
            key = window[2]
        return key


@dataclass
class _ImportDoor:
    """What the policy's steps see: the front door's world, with the import's own keys."""

    tokens: dict[str, str]
    geo: Geo
    rules_of: Callable[[str], SiteRules | None]
    salt_of: Callable[[SiteRules, int], bytes]
    first_party_key: Callable[[], bytes]
    check_ready: Callable[[], None]
    visitor_of: VisitorOf = visitor_hex  # never remembered: `close` forgets it


@dataclass
class _Delivery:
    """Counts the delivery reports of one request; other requests share the producer."""

    waiting: int = 0
    failed: list[str] = field(default_factory=list)

    def report(self, error: KafkaError | None, _: Message) -> None:
        self.waiting -= 1
        if error is not None:
            self.failed.append(str(error))


class Importer:
    """Takes batches of dated events; every method is safe for many threads."""

    def __init__(self, door: Door, salts: Salts, make_producer: Callable[[], Producer]) -> None:
        self._door = door
        self._salts = salts
        self._make_producer = make_producer
        self._producer: Producer | None = None
        self._keys: dict[tuple[str, str], _Keys] = {}
        self._lock = threading.Lock()

    def take(self, token: str, body: bytes) -> Answer:
        """Returns when Kafka has acknowledged every good event; Unavailable: send the same batch again."""
        request = decode(_requests, body)
        site = self._site_of(token, request.site)
        import_id = _checked_id(request.import_id)
        batch = parse_batch(bytes(request.events), IMPORT_MAX_EVENTS)
        answer = Answer()
        by_partition = self._prepare(site, import_id, batch, answer)
        self._deliver(by_partition)
        answer.accepted = len(batch) - len(answer.rejected)
        self._door.count(["import"] * answer.accepted, [r["reason"] for r in answer.rejected])
        return answer

    def close(self, token: str, import_id: str, body: bytes) -> int:
        """Destroy the keys of an import: its visitors can never be hashed alike again. Returns how many."""
        site = self._site_of(token, decode(_close_requests, body or b"{}").site)
        with self._lock:
            self._keys.pop((site, import_id), None)
        return self._salts.destroy_import(site, _checked_id(import_id))

    def _site_of(self, token: str, named: str | None) -> str:
        site = self._door.tokens.get(token_digest(token)) if token else None
        if token and site is None:
            self._door.check_ready()  # a door that has just opened knows no tokens yet: come again
        if site is None or (named is not None and named != site):
            raise Refused(Reason.NOT_ALLOWED, "an import needs Authorization: Bearer <token of the site>")
        return site

    def _prepare(
        self, site: str, import_id: str, batch: Sequence[Parsed], answer: Answer
    ) -> dict[int, list[dict[str, Any]]]:
        door = self._import_door(site, import_id)
        asked = Asked(time.time_ns() // 1_000_000, "", "", "import")
        by_partition: dict[int, list[dict[str, Any]]] = {}
        for index, sent in enumerate(batch):
            try:
                draft = policy.apply(door, asked, _whole(sent, site), policy.IMPORT_STEPS)
            except Refused as refused:
                answer.reject(index, refused)
                continue
            value = shippable(import_id, draft.sent.line or 0, _encode(draft.event))
            by_partition.setdefault(draft.partition, []).append({"value": value})
        return by_partition

    def _import_door(self, site: str, import_id: str) -> _ImportDoor:
        now = time.monotonic()
        with self._lock:
            for name in [n for n, keys in self._keys.items() if now - keys.used_at > KEYS_IDLE_S]:
                del self._keys[name]
            keys = self._keys.setdefault((site, import_id), _Keys(self._salts, import_id))
            keys.used_at = now
        door = self._door
        return _ImportDoor({}, door.geo, door.rules_of, keys.of, door.first_party_key, door.check_ready)

    def _deliver(self, by_partition: dict[int, list[dict[str, Any]]]) -> None:
        producer = self._connected()
        delivery = _Delivery(sum(map(len, by_partition.values())))
        for partition, messages in by_partition.items():
            if producer.produce_batch(IMPORTS, messages, partition, on_delivery=delivery.report) < len(
                messages
            ):
                raise Unavailable("kafka", "its queue here is full")
        deadline = time.monotonic() + DELIVERY_TIMEOUT_S
        while delivery.waiting > 0:
            producer.poll(POLL_S)
            if delivery.waiting > 0 and time.monotonic() > deadline:
                raise Unavailable("kafka", "it did not acknowledge in time")
        if delivery.failed:
            raise Unavailable("kafka", delivery.failed[0])

    def _connected(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = self._make_producer()
            return self._producer


def _whole(sent: Parsed, site: str) -> ClientEvent:
    """The event of a batch, of the token's site. Raises Refused where it is none."""
    if isinstance(sent, Refused):
        raise sent
    if not sent.site:
        sent.site = site
    elif sent.site != site:
        raise Refused(Reason.NOT_ALLOWED, "the event is of another site than the token")
    return sent


def _checked_id(import_id: str) -> str:
    if not IMPORT_ID.fullmatch(import_id):
        raise Refused(
            Reason.BAD_EVENT, "an import id has up to 64 letters, digits and . _ : -", field="import"
        )
    return import_id

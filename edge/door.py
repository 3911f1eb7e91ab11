"""The door of one ingest process: events go through the policy into the spool, and are counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge import policy
from edge.client_event import ClientEvent, Parsed
from edge.geo import Geo
from edge.policy import Asked, VisitorOf
from edge.rules import DaySalts, Sites
from edge.spool import Spool
from edge.spool_format import Entry
from recount.errors import Refused, Unavailable
from recount.reasons import Reason
from recount.store.catalog import FIRST_PARTY_SECRET, Catalog

_encode = msgspec.json.Encoder().encode


@dataclass
class Answer:
    """What became of a batch: how many events are in the spool, and why the others are not."""

    accepted: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, index: int, refused: Refused) -> None:
        self.rejected.append({"index": index, "reason": refused.reason.value, "detail": refused.detail})


class Door:
    """Implements what the policy's steps ask for; safe for many threads."""

    def __init__(self, sites: Sites, day_salts: DaySalts, geo: Geo, spool: Spool, catalog: Catalog) -> None:
        self.sites = sites
        self.spool = spool
        self.geo = geo
        self._day_salts = day_salts
        self._catalog = catalog
        self._first_party_key: bytes | None = None
        self._counting = threading.Lock()
        self.accepted: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.rules_of = sites.get
        self.salt_of = day_salts.of

    @property
    def visitor_of(self) -> VisitorOf:
        return self._day_salts.visitors

    @property
    def tokens(self) -> dict[str, str]:
        return self.sites.tokens

    def first_party_key(self) -> bytes:
        """Raises Unavailable where the catalog cannot be read and the key is not known yet."""
        if self._first_party_key is None:
            self._first_party_key = self._catalog.secret(FIRST_PARTY_SECRET)
        return self._first_party_key

    def take(self, asked: Asked, sent: ClientEvent) -> None:
        """Returns when the event is in the spool. Raises Refused, or Unavailable: nothing was taken."""
        draft = policy.apply(self, asked, sent)
        event = draft.event
        self.spool.append(draft.partition, event.received, _encode(event))
        self.accepted[event.source_kind] += 1  # no lock: two threads may lose a count to each other

    def take_all(self, asked: Asked, batch: Sequence[Parsed]) -> Answer:
        """The good events are in the spool, written at one go, when this returns; the bad ones are listed."""
        answer = Answer()
        entries: list[Entry] = []
        kinds: list[str] = []
        for index, sent in enumerate(batch):
            if isinstance(sent, Refused):
                answer.reject(index, sent)
                continue
            try:
                draft = policy.apply(self, asked, sent)
            except Refused as refused:
                answer.reject(index, refused)
                continue
            event = draft.event
            entries.append(Entry(draft.partition, event.received, _encode(event)))
            kinds.append(event.source_kind)
        if entries:
            self.spool.append_all(entries)
        answer.accepted = len(entries)
        self.count(kinds, (r["reason"] for r in answer.rejected))
        return answer

    def count_drop(self, reason: Reason, events: int = 1) -> None:
        with self._counting:
            self.dropped[reason.value] += events

    def check_ready(self) -> None:
        """Raises Unavailable while events of known sites could not be told from those of unknown ones."""
        if not self.sites.loaded:
            raise Unavailable("catalog", "not read yet")

    def count(self, kinds: Iterable[str], reasons: Iterable[str]) -> None:
        """Add events taken, by source kind, and refused, by reason, to the metrics."""
        with self._counting:
            self.accepted.update(kinds)
            self.dropped.update(reasons)

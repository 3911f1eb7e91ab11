"""Reprocessings: what is computed again, why, and how far it got. In the table `catalog`.

    reprocessing / <id>                 the request and its state
    reprocessing#<id>#hours / <hour>    the base and the candidate of each hour that is done
    reprocessing#<id>#runs / <run id>   the root that a run found published when it began

An hour's candidate lies in the object store, and nobody sees it before the reprocessing is published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import msgspec

from recount.errors import Conflict, InvalidInput
from recount.periods import HourRange, hour_ranges, hours_in
from recount.store.records import Records
from recount.store.table import Table

Source = Literal["archive", "raw", "rollback"]
State = Literal["open", "published", "discarded"]
REQUESTS: Final = "reprocessing"
ATTEMPTS_MAX: Final = 20
HOURS_MAX: Final = 24 * 366 * 20


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Who stands for a change that is too large to pass by itself; `of`: the candidates it is given for."""

    by: str
    why: str
    at_ms: int
    of: str


class Reprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """A request to compute hours again.

    `spans`: the hours asked for, as ranges with both ends included; hours that follow may be done too.
    `sites`: the only ones whose rows change; empty: all. `source`: folded from the archive that is published,
    archived again from raw events, or the rows shown before a publication (`undoes`). `publication` is set
    once it is published. `rules`: versions of the rules of sites that count these hours instead of those in
    force, and come into force with the publication; with `until_now` the hours published since belong to it
    too.
    """

    id: str
    spans: list[HourRange]
    source: Source
    reason: str
    requested_by: str
    requested_ms: int
    sites: list[str] = []
    rules: dict[str, int] = {}
    until_now: bool = False
    state: State = "open"
    publication: str = ""
    undoes: str = ""
    notes: list[str] = []
    approval: Approval | None = None
    revision: int = 0

    @property
    def first(self) -> str:
        return self.spans[0][0]

    @property
    def last(self) -> str:
        return self.spans[-1][1]

    @property
    def hours(self) -> list[str]:
        """Every hour asked for, in order."""
        return [hour for span in self.spans for hour in hours_in(span)]


class HourDone(msgspec.Struct, frozen=True, kw_only=True):
    """One hour of a reprocessing: old -> new.

    `base` is the generation confirmed for the hour when its events were taken ("": not published), in the
    root `base_root` ("": nothing was published). `generation` is the sealed candidate, `archive` the archive
    generation that it was folded from.
    """

    hour: str
    base: str
    base_root: str
    generation: str
    archive: str
    logic_version: int
    run_id: str
    made_ms: int


class Reprocessings:
    """Reads and writes of requests; each change is made by one writer or by none."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._records = Records(
            table,
            Reprocessing,
            attribute="request",
            key_of=lambda request: (REQUESTS, request.id),
            conflict=lambda request: f"reprocessing {request.id} was changed meanwhile; look again",
        )

    def add(self, request: Reprocessing) -> None:
        """Raises InvalidInput for a range that cannot be, Conflict where the id is taken."""
        _validate(request)
        self._records.add(request)

    def find(self, request_id: str) -> Reprocessing | None:
        return self._records.find((REQUESTS, request_id))

    def get(self, request_id: str) -> Reprocessing:
        """Raises InvalidInput naming the command that lists them where there is none of that id."""
        found = self.find(request_id)
        if found is None:
            detail = f"there is no reprocessing {request_id!r}; `recount reprocess list` shows them"
            raise InvalidInput(detail, field="reprocessing")
        return found

    def open(self, request_id: str) -> Reprocessing:
        """The same, and InvalidInput for one that is published or discarded."""
        found = self.get(request_id)
        if found.state != "open":
            why = f" ({found.notes[-1]})" if found.notes and found.state == "discarded" else ""
            detail = (
                f"reprocessing {found.id} is {found.state}{why}; start a new one with `recount reprocess`"
            )
            raise InvalidInput(detail, field="reprocessing")
        return found

    def all(self) -> list[Reprocessing]:
        """Every request, newest first."""
        found = self._records.query(REQUESTS)
        return sorted(found, key=lambda request: (request.requested_ms, request.id), reverse=True)

    def join(self, asked: Reprocessing) -> Reprocessing:
        """The open request of that id, made or widened to the hours asked for."""
        for _ in range(ATTEMPTS_MAX):
            try:
                found = self.find(asked.id)
                if found is None:
                    self.add(asked)
                    return asked
                found = self.open(asked.id)
                spans = hour_ranges([*found.hours, *asked.hours], span_max_hours=HOURS_MAX)
                return found if spans == found.spans else self.change(found, spans=spans)
            except Conflict:
                continue
        raise Conflict(f"reprocessing {asked.id} is changed by others all the time")

    def change(self, request: Reprocessing, **fields: object) -> Reprocessing:
        """Write changed fields; raises Conflict where another writer did since the request was read."""
        return self._records.change(request, **fields)

    def begin(self, request_id: str, run_id: str, root_id: str) -> str:
        """Record what was published when a run began; returns it, also if the run has begun before."""
        item = {"pk": f"{REQUESTS}#{request_id}#runs", "sk": run_id, "root": root_id}
        try:
            self._table.put(item, if_absent=True)
        except Conflict:
            known = self._table.get((item["pk"], run_id), consistent=True)
            assert known is not None
            root_id = known["root"]
        return root_id

    def put_hours(self, request_id: str, hours: Iterable[HourDone]) -> None:
        pk = f"{REQUESTS}#{request_id}#hours"
        self._table.put_many({"pk": pk, "sk": h.hour, "done": msgspec.json.encode(h).decode()} for h in hours)

    def hours(self, request_id: str) -> dict[str, HourDone]:
        """What is done so far, by hour and in order."""
        return {done.hour: done for done in self._hours(request_id)}

    def _hours(self, request_id: str) -> Iterator[HourDone]:
        for item in self._table.query(f"{REQUESTS}#{request_id}#hours", consistent=True):
            yield msgspec.json.decode(item["done"], type=HourDone)


def _validate(request: Reprocessing) -> None:
    if not request.reason.strip():
        raise InvalidInput("say why the hours are computed again", field="reason")
    try:
        hours = len(request.hours)
    except ValueError:
        detail = f"hours are named like 2026-11-22T23, not {request.first!r} and {request.last!r}"
        raise InvalidInput(detail, field="hours") from None
    if not 1 <= hours <= HOURS_MAX:
        raise InvalidInput(f"a reprocessing has 1 to {HOURS_MAX} hours, not {hours}", field="hours")

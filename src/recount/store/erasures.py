"""Erasures: what was ordered, why, how far it is, and the report that proves it. In the table `catalog`.

erasure / <id>    the order, its progress and its report; it outlives its tombstone
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from recount.erasing.tombstone import Tombstone, What
from recount.errors import InvalidInput
from recount.periods import HourRange, hours_in
from recount.store.catalog import Site
from recount.store.records import Records
from recount.store.table import Table

ERASURES: Final = "erasure"
CAUSE: Final = "erasure/"
State = Literal["open", "done"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What the report says of one store: rows that the order takes, before and after, and until when (ms
    UTC) the tombstone hides what is left there. None: cannot be counted there."""

    store: str
    done: str
    before: int | None = None
    after: int | None = None
    until_ms: int | None = None


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One order.

    `site` is as it was then, for whoever has to count its days when it is gone. `spans` are the hours of the
    archive that held or followed from what is erased, `raw_spans` those of raw events. `since_ms`: from here
    on nothing is archived with it any more. `figures`: how much there was before anything was touched.
    """

    id: str
    site: Site
    what: What
    subject: str
    reason: str
    requested_by: str
    requested_ms: int
    before_ms: int
    expires_ms: int
    state: State = "open"
    step: str = "asked"
    spans: list[HourRange] = []
    raw_spans: list[HourRange] = []
    since_ms: int = 0
    figures: dict[str, int] = {}
    publication: str = ""
    notes: list[str] = []
    report: list[Line] = []
    done_ms: int = 0
    revision: int = 0

    @property
    def hours(self) -> list[str]:
        return [hour for span in self.spans for hour in hours_in(span)]

    @property
    def raw_hours(self) -> list[str]:
        return [hour for span in self.raw_spans for hour in hours_in(span)]

    @property
    def cause(self) -> str:
        """What its publication names."""
        return CAUSE + self.id

    @property
    def left(self) -> int:
        """Rows that the report still found anywhere but where they wait for their end."""
        return sum(line.after or 0 for line in self.report if line.until_ms is None)


class Erasures:
    """Reads and writes of orders."""

    def __init__(self, table: Table) -> None:
        self._records = Records(
            table,
            Erasure,
            attribute="erasure",
            key_of=lambda erasure: (ERASURES, erasure.id),
            conflict=lambda erasure: f"erasure {erasure.id} is worked on by another run",
        )

    def add(self, erasure: Erasure) -> None:
        """Raises InvalidInput without a reason, Conflict where the id is taken."""
        if not erasure.reason.strip():
            raise InvalidInput("say why it is erased: --reason", field="reason")
        self._records.add(erasure)

    def get(self, erasure_id: str) -> Erasure:
        """By its id, or by the beginning of one. Raises InvalidInput where that fits none, or several."""
        found = [erasure for erasure in self.all() if erasure_id and erasure.id.startswith(erasure_id)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(erasure.id for erasure in found)
            raise InvalidInput(f"{erasure_id!r} may be one of {names}", field="erasure")
        raise InvalidInput(
            f"there is no erasure {erasure_id!r}; `recount erase list` shows them", field="erasure"
        )

    def all(self) -> list[Erasure]:
        """Every order, newest first."""
        found = self._records.query(ERASURES)
        return sorted(found, key=lambda erasure: (erasure.requested_ms, erasure.id), reverse=True)

    def change(self, erasure: Erasure, **fields: object) -> Erasure:
        """Write changed fields; raises Conflict where another run works on the same order."""
        return self._records.change(erasure, **fields)


def tombstone_of(erasure: Erasure, **given: object) -> Tombstone:
    """The tombstone of an order; `given`: what only the order's kind has."""
    fields = {name: getattr(erasure, name) for name in ("id", "what", "before_ms", "expires_ms")}
    hosts = sorted(erasure.site.own_hostnames)
    return Tombstone(site=erasure.site.id, hosts=hosts, **fields, **given)  # type: ignore[arg-type]

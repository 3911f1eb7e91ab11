"""The lines of an hour's ledger that the archive knows: accepted, duplicate, quarantined, pending.

An event is told by its number in a spool. One that is in several places at once (a letter that was replayed,
a batch that was shipped twice) is in the first of: archived, quarantined, pending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

from orchestration.spools import Place, Unshipped
from orchestration.steps.gone import Gone
from orchestration.steps.hour_events import NUMBER, Hashes, HourEvents, number_hash, repeated
from recount.kafka import Offsets
from recount.ledger import ACCEPTED, DUPLICATE, ERASED, PENDING, QUARANTINED, UNKNOWN_SITE, Ledger

PLACES_SCHEMA: Final[dict[str, pl.DataType]] = {
    "site": pl.String(),
    "spool": pl.String(),
    "seq": pl.Int64(),
}


@dataclass(frozen=True)
class Outside:
    """What of an hour is not in its archive: `dead` (DEAD_SCHEMA), pieces `set_aside` and what is `waiting`
    in spools (PLACES_SCHEMA)."""

    dead: pl.DataFrame
    set_aside: pl.DataFrame
    waiting: pl.DataFrame

    @classmethod
    def of(cls, hour: str, dead: pl.DataFrame, cut: Offsets, unshipped: Unshipped) -> Outside:
        """`dead`: the hour's letters, of which those below the cut belong to its ledger."""
        places = dead.select("topic", "partition").iter_rows()
        ends = pl.Series([cut.get((topic, partition), 0) for topic, partition in places], dtype=pl.Int64)
        return cls(
            dead.filter(dead["offset"] < ends),
            _places(hour, unshipped.set_aside),
            _places(hour, unshipped.waiting),
        )

    @property
    def is_empty(self) -> bool:
        return self.dead.is_empty() and self.set_aside.is_empty() and self.waiting.is_empty()

    @property
    def numbers(self) -> pl.DataFrame:
        """NUMBER of all of it, as far as it can be told."""
        return pl.concat([part.select(NUMBER) for part in (self.dead, self.set_aside, self.waiting)])


def ledger_of(events: HourEvents, gone: Gone, earlier: Ledger, outside: Outside) -> Ledger:
    """`events` without duplicates; `gone`: what was erased; `earlier`: what the generation before said."""
    numbers = events.numbers
    archived = _archived(events, numbers, gone, earlier)
    asked = outside.numbers.select(number_hash().unique().sort()).to_series().to_numpy()
    inside = events.having(numbers, asked, NUMBER)
    return lines(
        archived, pl.concat([outside.numbers.clear(), *(rows.select(NUMBER) for rows in inside)]), outside
    )


def _archived(events: HourEvents, numbers: Hashes, gone: Gone, earlier: Ledger) -> Ledger:
    """Accepted (distinct spool, seq), duplicates and erased events of each site.

    Duplicates and erased events whose raw items have expired are known from the earlier generation alone. Of
    a site that is erased whole there is no line.
    """
    accepted = Counter(events.sites)
    for rows in events.having(numbers, repeated(numbers), ("site", *NUMBER)):
        again = rows.filter(~pl.struct("site", *NUMBER).is_first_distinct())
        accepted.subtract(dict(again.group_by("site").len().iter_rows()))
    found, husks = {}, gone.numbers
    for site in sorted({*accepted, *husks}):
        left, line = events.kept[site], earlier.get(site, {})
        before = line.get(ERASED, 0) + gone.archived[site]
        erased = max(husks[site], before)
        lost = max(accepted[site] + husks[site] - left, line.get(DUPLICATE, 0) + before)
        found[site] = {ACCEPTED: left + lost, DUPLICATE: lost - erased}
        found[site] |= {ERASED: erased} if erased else {}
    return found


def lines(archived: Ledger, inside: pl.DataFrame, outside: Outside) -> Ledger:
    """`archived`: accepted and duplicate by site; `inside`: NUMBER of events of the hour, at least of those
    that are outside too."""
    if outside.is_empty:
        return {site: {**line, QUARANTINED: 0, PENDING: 0} for site, line in archived.items()}
    numbers = inside.lazy().select(*NUMBER)
    known = outside.dead.filter(pl.all_horizontal(pl.col(*NUMBER).is_not_null()))
    nameless = outside.dead.join(known, on=["topic", "partition", "offset"], how="anti")
    told = pl.concat([known.select(*PLACES_SCHEMA), outside.set_aside]).unique(NUMBER, keep="first")
    dead = told.lazy().join(numbers, on=NUMBER, how="anti").collect()
    waiting = outside.waiting.unique(NUMBER, keep="first").lazy().join(numbers, on=NUMBER, how="anti")
    pending = waiting.join(dead.lazy(), on=NUMBER, how="anti").collect()
    quarantined = _counts(pl.concat([dead, nameless.select(*PLACES_SCHEMA)]))
    waits = _counts(pending)
    found: Ledger = {}
    for site in sorted({*archived, *quarantined, *waits}):
        line = archived.get(site, {ACCEPTED: 0, DUPLICATE: 0})
        lacking = {QUARANTINED: quarantined.get(site, 0), PENDING: waits.get(site, 0)}
        found[site] = {**line, **lacking, ACCEPTED: line[ACCEPTED] + sum(lacking.values())}
    return found


def _places(hour: str, places: Iterable[Place]) -> pl.DataFrame:
    ours = [(p.site, p.spool, p.seqs) for p in places if p.hour == hour]
    schema = {**PLACES_SCHEMA, "seq": pl.List(pl.Int64)}
    return pl.DataFrame(ours, schema=schema, orient="row").explode("seq").drop_nulls("seq")


def _counts(rows: pl.DataFrame) -> dict[str, int]:
    counts = rows.group_by(pl.col("site").fill_null(UNKNOWN_SITE)).len()
    return dict(sorted(counts.iter_rows()))

"""A query's rows out of the numbers of a scan: a row per combination of values, or per bucket of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from recount.counting import sketch
from recount.counting.rollup import SUMS
from recount.errors import InvalidInput
from recount.querying import buckets
from recount.querying.confidence import STANDARD_ERROR, Confidence
from recount.querying.measures import ALL_VISITORS, METRIC, Row, amounts, measured, saying
from recount.querying.query import GOAL, OF_GOALS, OF_VISITS, Order, Query, Span
from recount.querying.rows import ORIGIN, REVENUE, empty_row
from recount.scanning.asked import AT, Asked
from recount.scanning.dimensions import is_ruled
from recount.scanning.grouped import LABEL, Buckets, values_of
from recount.scanning.scanner import Scanned
from recount.store.catalog import NO_COMMON, Site

VISITORS: Final = "visitors"
RATE: Final = "conversion_rate"
Earned = Mapping[tuple[Any, ...], dict[str, str]]


@dataclass(frozen=True)
class Numbers:
    """What was counted of a span; `everyone`: those that a conversion rate is a share of."""

    asked: Asked
    scanned: Scanned
    everyone: Scanned | None = None


def asked_of(site: Site, query: Query, span: Span, common: Site = NO_COMMON) -> Asked:
    """What a scan for the query counts, given what holds on all sites. Raises InvalidInput for what has no
    meaning together."""
    asked = Asked(
        span=span,
        zone=query.zone(site),
        metrics=query.metrics,
        dimensions=query.dimensions,
        filters=query.filters,
        interval=query.interval,
        united=site.identity == "first_party" or buckets.is_of_sets(site, query),
        common=common,
        ruled=is_ruled(site, common),
    )
    of_goals = [name for name in query.metrics if name in OF_GOALS]
    if of_goals and GOAL not in asked.names:
        raise InvalidInput(
            f"{of_goals[0]} is that of a goal: add goal to the dimensions, or a filter on one",
            field="metrics",
        )
    return asked


def everyone_of(asked: Asked) -> Asked | None:
    """Whose share a conversion rate is: the same without the goals; None where none is asked for."""
    if RATE not in asked.metrics:
        return None
    return replace(
        asked,
        metrics=(VISITORS,),
        dimensions=tuple(name for name in asked.dimensions if name != GOAL),
        filters=tuple(one for one in asked.filters if one.dimension != GOAL),
    )


def table_of(site: Site, query: Query, numbers: Numbers) -> pl.DataFrame:
    """[*keys, metric:<name>...] of all rows, in the order asked for: by the first metric, largest first,
    unless told; a series in order of time. Visits of single events are null."""
    asked = numbers.asked
    added = _added(site, asked, numbers.scanned)
    if numbers.everyone is not None:
        added = _with_everyone(site, asked, added, numbers.everyone)
    scope = min(asked.of_events, default=None)
    found = measured(added, asked.metrics, scope)
    if not asked.dimensions:
        return found.sort(AT) if asked.interval else found
    found = found.filter(saying(asked.metrics, scope))
    order = query.order or (Order(asked.metrics[0]),)
    if any(one.by == REVENUE for one in order):
        earned = _with_values(asked, numbers.scanned.rollup.revenue)
        own = earned.filter(pl.col("currency") == site.currency).group_by(asked.dimensions)
        micros = own.agg(pl.col("micros").sum().alias(METRIC + REVENUE))
        found = found.join(micros, on=asked.dimensions, how="left")
    by = [one.by if one.by in asked.dimensions else METRIC + one.by for one in order]
    descending = [*(one.descending for one in order), *(False for _ in asked.dimensions)]
    return found.sort(*by, *asked.dimensions, descending=descending, nulls_last=True)


def rows_of(site: Site, query: Query, numbers: Numbers, found: pl.DataFrame, now_ms: int) -> list[Row]:
    """Rows of (a page of) `table_of`; of a series every bucket that has begun."""
    asked = numbers.asked
    earned = _earned(site, numbers) if REVENUE in query.metrics else {}
    rows = [_row(query, row, asked.keys, earned) for row in found.iter_rows(named=True)]
    if asked.interval is None:
        return rows if asked.dimensions or rows else [empty_row(query)]
    by_time, nothing = {row[AT]: row for row in rows}, empty_row(query)
    return [
        {AT: at, "date": buckets.label(at, asked.zone, asked.interval)} | by_time.get(at, nothing)
        for at in buckets.starts(asked.span, asked.zone, asked.interval)
        if at <= now_ms
    ]


def confidence_of(asked: Asked, scanned: Scanned) -> dict[str, Confidence]:
    """As `recount.querying.confidence` has it; nothing is folded here."""
    estimate: Confidence = {"kind": "estimate", "standard_error": STANDARD_ERROR}
    of_visitors = (VISITORS, "engagement", RATE) if _is_estimated(scanned) else ()
    return {name: estimate if name in of_visitors else {"kind": "exact"} for name in asked.metrics}


def notes_of(site: Site, asked: Asked, scanned: Scanned) -> Iterator[str]:
    """What must be said of the rows."""
    several = len(asked.span.in_zone(asked.zone, site.timezone).days) > 1
    if VISITORS in asked.metrics and not asked.united and asked.interval is None and several:
        yield "Visitors of several days are the sum of daily visitors: nobody is recognised on another day."
    without = [name for name in asked.metrics if name in OF_VISITS]
    if asked.of_events and without:
        of_events = " and ".join(sorted(asked.of_events))
        yield f"{', '.join(without)}: counted for whole visits, not for what is told apart by {of_events}."
    if _is_estimated(scanned):
        percent = STANDARD_ERROR * 100
        yield f"Visitors above {sketch.EXACT_MAX:,} a day are estimates, standard error {percent:.1f} %."
    yield from note_of_end(asked.span.bounds_ms(asked.zone)[1], scanned.published_until_ms)


def note_of_end(end_ms: int, published_until_ms: int | None) -> Iterator[str]:
    """That what is asked for reaches beyond what is published, if it does."""
    if published_until_ms is None or published_until_ms < end_ms:
        yield "Answered from the archive: numbers end at published_until, live ones are not in them."


def _is_estimated(scanned: Scanned) -> bool:
    return bool((scanned.rollup.rows["visitors"].list.len() > sketch.EXACT_MAX).any())


def _added(site: Site, asked: Asked, scanned: Scanned) -> pl.DataFrame:
    """The sums of each key."""
    rows = Buckets.of(asked, site.timezone).added(_with_values(asked, scanned.rollup.rows))
    rows = rows.with_columns(sketch.count(pl.col(VISITORS)))
    sums = [pl.col(VISITORS, *SUMS).sum()]
    return rows.group_by(asked.keys).agg(sums) if asked.keys else rows.select(sums).head(rows.height)


def _with_everyone(site: Site, asked: Asked, added: pl.DataFrame, scanned: Scanned) -> pl.DataFrame:
    whole = everyone_of(asked)
    assert whole is not None
    everyone = _added(site, whole, scanned).select(*whole.keys, pl.col(VISITORS).alias(ALL_VISITORS))
    if whole.keys:
        return added.join(everyone, on=whole.keys, how="left")
    return added.join(everyone, how="cross")


def _with_values(asked: Asked, rows: pl.DataFrame) -> pl.DataFrame:
    """A column for each dimension."""
    if asked.counted_as in asked.dimensions:
        rows = rows.rename({"value": asked.counted_as})
    if not asked.labels:
        return rows
    values = values_of(rows["site"], asked.labels)
    return rows.join(values, left_on="site", right_on=LABEL, how="left", maintain_order="left")


def _earned(site: Site, numbers: Numbers) -> Earned:
    asked = numbers.asked
    revenue = _with_values(asked, numbers.scanned.rollup.revenue)
    if not asked.keys:
        return {(): amounts(revenue)}
    revenue = Buckets.of(asked, site.timezone).added(revenue)
    return {key: amounts(part) for key, part in revenue.partition_by(asked.keys, as_dict=True).items()}


def _row(query: Query, found: Mapping[str, Any], keys: tuple[str, ...], earned: Earned) -> Row:
    key = {name: found[name] for name in keys}
    shown = {
        name: earned.get(tuple(key.values()), {}) if name == REVENUE else found[METRIC + name]
        for name in query.metrics
    }
    return key | shown | {ORIGIN: "published"}

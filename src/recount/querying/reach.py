"""What the rollups can answer exactly; everything else needs the archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recount.counting.grid import is_off_the_hour
from recount.periods import HOUR_MS, hour_of
from recount.querying.buckets import is_of_sets, needs_days
from recount.querying.query import (
    FINE_DAYS_MAX,
    GOAL,
    OF_GOALS,
    OF_VISITS,
    Query,
    is_event_scoped,
)
from recount.store.catalog import Site

_ONE_VALUE: Final = "the rollups know the dimension that is asked for, or the total of one value of another: "


@dataclass(frozen=True)
class Beyond:
    """Why the rollups cannot answer a query, and which field asks for it."""

    why: str
    field: str


def needs_archive(site: Site, query: Query) -> Beyond | None:
    """None for what the rollups answer.

    Their rows are of one dimension each, by the day and by the hour; so they know the total of one value,
    too, except the visits of a value that is not of a whole visit.
    """
    if len(query.dimensions) > 1:
        return Beyond("combinations of dimensions are not in the rollups; ask for one", "dimensions")
    for index, one in enumerate(query.filters):
        if one.dimension != query.dimension and not is_of_one_value(query):
            return Beyond(f"{_ONE_VALUE}add dimensions: [{one.dimension!r}]", f"filters[{index}].dimension")
    return _of_goals(query) or _off_the_hour(site, query) or _of_series(site, query)


def is_of_one_value(query: Query) -> bool:
    """Whether a total or series is that of a single value of a dimension."""
    if query.dimensions or len(query.filters) != 1:
        return False
    [one] = query.filters
    asks_visits = not set(OF_VISITS).isdisjoint(query.metrics)
    is_single = one.operator == "equals" and len(one.values) == 1
    return is_single and not (asks_visits and is_event_scoped(one.dimension))


def _of_goals(query: Query) -> Beyond | None:
    asked = [name for name in query.metrics if name in OF_GOALS]
    if not asked or GOAL in (query.dimension, *(one.dimension for one in query.filters)):
        return None
    return Beyond(
        f"{asked[0]} is that of a goal: add dimensions: ['goal'], or a filter on one goal", "metrics"
    )


def _off_the_hour(site: Site, query: Query) -> Beyond | None:
    """Totals are kept by the quarter of an hour, values by the hour unless the site's own clock is off it."""
    if not query.dimensions and not query.filters:
        return None
    edges = [edge for span in query.spans for edge in span.bounds_ms(query.zone(site))]
    if all(edge % HOUR_MS == 0 or is_off_the_hour(site.timezone, hour_of(edge)) for edge in edges):
        return None
    return Beyond(
        "values are counted by full hours of UTC, which this range cuts; choose a zone or times that are "
        f"full hours from {site.timezone}, or ask for totals",
        "timezone" if query.timezone else "date_range",
    )


def _of_series(site: Site, query: Query) -> Beyond | None:
    if query.interval is None:
        return None
    if query.filters and (query.interval == "hour" or is_of_sets(site, query)):
        return Beyond(
            "the series of one value is known by the day of the site's own zone; ask by day", "interval"
        )
    days = len(query.span.days)
    if query.interval != "hour" and days > FINE_DAYS_MAX and needs_days(site, query):
        what = "of one value" if query.filters else f"of {query.interval}s in {query.zone(site)}"
        return Beyond(
            f"a series {what} is put together from at most {FINE_DAYS_MAX} days; this range has {days}",
            "date_range",
        )
    return None

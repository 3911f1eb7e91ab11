"""Events -> rollup: the only code that counts, for an hour of the archive and for a live micro-batch.

Everything is grouped by small integers: a key packs (site, bucket, value), rows are in the order of their
visitors, and one sort of (key, row) brings each group together with its visitors in order.

Rules of counting. A visit counts from its first pageview or custom event on; engagement alone (a tab looked
at again after 30 minutes) is no visitor and no visit, and only adds its time and depth. A bounce is an ended
visit of at most one pageview and no custom event. Visits whose verdict is not `human` count in dimension
`verdict` only: bots, and what rules exclude. What is done on an excluded page counts there too,
as `excluded_page`; the visit in which it was done stays a visit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from recount.counting import steps
from recount.counting.batch import batch_of
from recount.counting.rollup import (
    KEYS,
    REVENUE_SCHEMA,
    ROLLUP_SCHEMA,
    Rollup,
    empty,
    merge,
    rebucket,
    truncate,
)
from recount.counting.rows import Table
from recount.counting.tally import Tally
from recount.counting.visits import ENTRY_SCHEMA
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, QUARTER_MS
from recount.store.catalog import Site

__all__ = [
    "EVENT_FACTS",
    "LOGIC_VERSION",
    "REVENUE_SCHEMA",
    "ROLLUP_SCHEMA",
    "Rollup",
    "empty",
    "fold",
    "merge",
    "rebucket",
    "truncate",
]

LOGIC_VERSION: Final = 1
"""Grows whenever the same archive would give another rollup; `tests/unit/test_golden.py` holds us to it."""


EVENT_FACTS: Final = (
    *("site", "visitor", "ts", "kind", "name", "url", "props", "revenue_amount", "revenue_currency"),
    *("engaged_ms", "scroll_percent", "visit_start", "pageviews_before", "events_before", *ENTRY_SCHEMA),
)
"""The columns of ARCHIVE_SCHEMA that the fold looks at."""


def fold(
    events: Table,
    ends: Table,
    sites: Mapping[str, Site],
    interpreter: Interpreter,
    *,
    series_ms: int = QUARTER_MS,
    bucket_ms: int = HOUR_MS,
) -> Rollup:
    """The rollup of `events` (EVENT_FACTS) and `ends` (VISIT_END_SCHEMA), of any number of sites.

    Both are quickest in the order in which `visits.cut` gives them. Dimension `series` is the total by
    `series_ms`, the others are by `bucket_ms` (sites off the full hour: at most a quarter). `sites`: by id,
    with the rules for all under EVERY_SITE; a site that is not known is counted by these alone.
    """
    if not len(events) and not len(ends):
        return empty()
    batch = batch_of(events, ends, sites, interpreter, series_ms, bucket_ms)
    tally = Tally(batch.grid)
    steps.visits(batch, tally)
    steps.exits(batch, tally)
    steps.pages_seen(batch, tally)
    steps.custom_events(batch, tally)
    steps.goals_reached(batch, tally)
    counted = tally.rollup()
    if batch.hidden is None:
        return counted
    # What pages leave out was counted beside the verdicts on visits: its rows go among theirs.
    return Rollup(counted.rows.sort(KEYS), counted.revenue)

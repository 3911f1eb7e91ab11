"""The partitions of every asset, in one place; their keys are the names that `recount.periods` gives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import dagster as dg

from recount.periods import HOUR_FORMAT, HOUR_MS, hour_start_ms, next_hour

FIRST_HOUR: Final = "2015-05-01T00"
RANGE_MAX_HOURS: Final = 24 * 366  # one run takes at most this many hours

# `end_offset=1`: the running hour is a partition too, for `publish_open`.
HOURS: Final = dg.HourlyPartitionsDefinition(start_date=FIRST_HOUR, fmt=HOUR_FORMAT, end_offset=1)
# Days and months are those of each site's own zone, which may be ahead of UTC.
DAYS: Final = dg.DailyPartitionsDefinition(start_date=FIRST_HOUR[:10], fmt="%Y-%m-%d", end_offset=2)
MONTHS: Final = dg.MonthlyPartitionsDefinition(start_date=FIRST_HOUR[:7], fmt="%Y-%m", end_offset=2)

# The tags by which Dagster knows what a run works on.
PARTITION: Final = "dagster/partition"
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"

Range = tuple[str, str]  # first and last hour, both included


def ranges(
    hours: Iterable[str], *, gap_max_hours: int = 0, span_max_hours: int = RANGE_MAX_HOURS
) -> list[Range]:
    """Hours as runs of neighbours; a gap of up to `gap_max_hours` does not separate."""
    found: list[Range] = []
    for hour in sorted(set(hours)):
        near = found and _apart(found[-1][1], hour) <= gap_max_hours + 1
        if near and _apart(found[-1][0], hour) < span_max_hours:
            found[-1] = (found[-1][0], hour)
        else:
            found.append((hour, hour))
    return found


def _apart(hour: str, later: str) -> int:
    return (hour_start_ms(later) - hour_start_ms(hour)) // HOUR_MS


def hours_in(span: Range) -> list[str]:
    """Every hour of a range."""
    hours = [span[0]]
    while hours[-1] < span[1]:
        hours.append(next_hour(hours[-1]))
    return hours


def range_tags(span: Range) -> dict[str, str]:
    """The run tags that make Dagster work on a range of partitions in one run."""
    return {RANGE_START: span[0], RANGE_END: span[1]}

"""The partitions of every asset, in one place; their keys are the names that `recount.periods` gives."""

from __future__ import annotations

from typing import Final

import dagster as dg

from recount.periods import FIRST_HOUR, HOUR_FORMAT, HourRange

# `end_offset=1`: the running hour is a partition too, for `publish_open`.
HOURS: Final = dg.HourlyPartitionsDefinition(start_date=FIRST_HOUR, fmt=HOUR_FORMAT, end_offset=1)
# Days and months are those of each site's own zone, which may be ahead of UTC.
DAYS: Final = dg.DailyPartitionsDefinition(start_date=FIRST_HOUR[:10], fmt="%Y-%m-%d", end_offset=2)
MONTHS: Final = dg.MonthlyPartitionsDefinition(start_date=FIRST_HOUR[:7], fmt="%Y-%m", end_offset=2)

# The tags by which Dagster knows what a run works on.
PARTITION: Final = "dagster/partition"
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"


def range_tags(span: HourRange) -> dict[str, str]:
    """The run tags that make Dagster work on a range of partitions in one run."""
    return {RANGE_START: span[0], RANGE_END: span[1]}

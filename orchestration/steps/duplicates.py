"""Events that came twice under one id: the first one received wins, also over the minutes next door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from orchestration.steps.hour_events import (
    IDENTITY,
    MARGIN,
    PRECEDENCE,
    HourEvents,
    identity_hash,
    repeated,
)

NOBODY: Final = pl.DataFrame(schema={"row": pl.Int64, "site": pl.String})


@dataclass(frozen=True)
class Contest:
    """`lost`: `row` and `site` of the events of the hour that lost; `beaten`: MARGIN and `hour` of those next
    door that lost against one of the hour's."""

    lost: pl.DataFrame
    beaten: pl.DataFrame


def contest(ours: pl.DataFrame, theirs: pl.DataFrame) -> Contest:
    """Each (site, id) once, over the hour and the minutes around it.

    `ours`: MARGIN and the `row` of events of the hour. `theirs`: MARGIN and the `hour` of events next door.
    """
    rivals = pl.concat(
        [
            ours.select(*MARGIN, "row", pl.lit(None, pl.String).alias("hour")),
            theirs.select(*MARGIN, pl.lit(None, pl.Int64).alias("row"), "hour"),
        ]
    ).filter(pl.len().over(IDENTITY) > 1)
    if rivals.is_empty():
        return Contest(rivals.select("row", "site"), theirs.clear())
    first = rivals.sort(PRECEDENCE).unique(IDENTITY, keep="first", maintain_order=True)
    lost = rivals.join(first.select("row"), on="row", how="anti", nulls_equal=True).drop_nulls("row")
    winners = first.filter(pl.col("row").is_not_null()).select(IDENTITY)
    beaten = rivals.filter(pl.col("hour").is_not_null()).join(winners, on=IDENTITY, how="semi")
    return Contest(lost.select("row", "site"), beaten.drop("row"))


def drop_duplicates(events: HourEvents, margins: pl.DataFrame) -> pl.DataFrame:
    """Leave the losers out of the hour; returns the beaten (`Contest`) of `margins` (MARGIN and `hour`).

    Only rows whose hash occurs twice are looked at: nearly always none.
    """
    identities = events.identities
    near = margins.select(identity_hash()).to_series().to_numpy()
    suspects = repeated(np.concatenate([identities, np.unique(near)]))
    found = [contest(ours, margins) for ours in events.having(identities, suspects, MARGIN)]
    events.settle(pl.concat([NOBODY, *(part.lost for part in found)]))
    return pl.concat([margins.clear(), *(part.beaten for part in found)])

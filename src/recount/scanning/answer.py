"""A query's rows out of the numbers of a scan, made like those of the rollups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import polars as pl

from recount.counting import sketch
from recount.counting.rebuild import HOURS
from recount.counting.rollup import REVENUE_SCHEMA, TOTAL, Rollup
from recount.querying.measures import Row
from recount.querying.query import OF_VISITS, Query
from recount.querying.tables import LIVE, ROWS_SCHEMA, Data, table
from recount.scanning.asked import Asked
from recount.scanning.grouped import LABEL, values_of
from recount.scanning.scanner import Scanned
from recount.store.catalog import Site

COMBINED: Final = "combination"


def asked_of(site: Site, query: Query) -> Asked:
    """What a scan for the query counts. Raises InvalidInput for what has no meaning together."""
    return Asked(
        span=query.span,
        zone=site.timezone,
        metrics=query.metrics,
        dimensions=query.dimensions,
        filters=query.filters,
        interval=query.interval,
    )


def rows_of(site: Site, query: Query, scanned: Scanned, now_ms: int) -> tuple[list[Row], list[str]]:
    """The rows of a query, and what must be said of them."""
    asked = asked_of(site, query)
    data = _data(asked, scanned.rollup, united=site.identity == "first_party" and query.interval is None)
    dimensions = (COMBINED,) if query.dimensions else ()
    rows, said = table(site, replace(query, dimensions=dimensions, filters=()), data, now_ms)
    if query.dimensions:
        rows = _split(rows, asked)
    without = [name for name in query.metrics if name in OF_VISITS] if asked.of_events else []
    rows = [row | dict.fromkeys(without) for row in rows] if without else rows
    return rows, [*said, *_notes(asked, scanned, data, without)]


def _data(asked: Asked, rollup: Rollup, *, united: bool) -> Data:
    """With the label of a combination as the value of one dimension, which stands for all."""
    dimension = COMBINED if asked.dimensions else HOURS if asked.interval == "hour" else TOTAL
    key = {"dimension": pl.lit(dimension), "value": _value(asked) if asked.dimensions else pl.lit("")}
    rows = rollup.rows.with_columns(**key, visitors=sketch.count(pl.col("visitors")))
    rows = rows.with_columns(pl.lit(0, pl.Int64).alias(LIVE)).select(ROWS_SCHEMA)
    revenue = rollup.revenue.with_columns(**key).select(*REVENUE_SCHEMA)
    return Data(rows.clear(), rows, revenue.clear(), revenue, united)


def _value(asked: Asked) -> pl.Expr:
    """The label; with it the value that the fold told apart by itself."""
    if asked.counted_as not in asked.dimensions:
        return pl.col("site")
    return pl.concat_str(pl.col("site"), pl.col("value"))


def _split(rows: list[Row], asked: Asked) -> list[Row]:
    """Rows with a column for each dimension, in the order asked for."""
    if not rows:
        return rows
    given = pl.Series(LABEL, [row.pop(COMBINED) for row in rows], dtype=pl.String)
    frame = given.to_frame()
    if asked.counted_as in asked.dimensions:
        # A label is a JSON list of texts: the first `]` outside of a text ends it.
        parts = frame.select(pl.col(LABEL).str.extract_groups(_LABEL_AND_VALUE).alias("_")).unnest("_")
        frame = parts.select(pl.col("1").alias(LABEL), pl.col("2").alias(asked.counted_as))
    table_of = values_of(frame[LABEL], asked.labels)
    values = frame.join(table_of, on=LABEL, how="left", maintain_order="left").select(asked.dimensions)
    return [keys | row for keys, row in zip(values.iter_rows(named=True), rows, strict=True)]


_LABEL_AND_VALUE: Final = r'(?s)^(\[(?:"(?:[^"\\]|\\.)*",?)*\])(.*)$'


def _notes(asked: Asked, scanned: Scanned, data: Data, without: list[str]) -> Iterator[str]:
    several = len(asked.span.days) > 1
    if "visitors" in asked.metrics and asked.dimensions and several and not data.united:
        yield "Visitors of several days are the sum of daily visitors: nobody is recognised on another day."
    if without:
        of_events = " and ".join(sorted(asked.of_events))
        yield f"{', '.join(without)}: counted for whole visits, not for what is told apart by {of_events}."
    end = asked.span.bounds_ms(asked.zone)[1]
    if scanned.published_until_ms is None or scanned.published_until_ms < end:
        yield "Answered from the archive: numbers end at published_until, live ones are not in them."

"""The synthetic events as Kafka values, in the partitions where the ingest would put them."""

from __future__ import annotations

import msgspec
import polars as pl

from recount.keys import site_hash

PARTITIONS = 6


def in_partitions(events: pl.DataFrame) -> pl.DataFrame:
    """Events with the partition of their site and offsets without gaps."""
    homes = {site: site_hash(site) % PARTITIONS for site in events["site"].unique()}
    partition = pl.col("site").replace_strict(homes, return_dtype=pl.Int32).alias("partition")
    return events.with_columns(partition).with_columns(
        pl.int_range(pl.len()).over("partition").alias("offset")
    )


def values(events: pl.DataFrame) -> list[bytes]:
    """One JSON message a row."""
    found = []
    for row in events.drop("topic", "partition", "offset", "extra").iter_rows(named=True):
        row["visitor"] = f"{row['visitor']:016x}"
        amount, currency, props = row.pop("revenue_amount"), row.pop("revenue_currency"), row.pop("props")
        if amount is not None:
            row["revenue"] = {"amount": amount, "currency": currency}
        if props is not None:
            row["props"] = msgspec.Raw(props.encode())
        found.append(msgspec.json.encode({name: cell for name, cell in row.items() if cell is not None}))
    return found

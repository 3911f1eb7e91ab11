"""The archive's files: what is written is what is read, and coded texts make the same file as plain ones."""

from __future__ import annotations

import io

import polars as pl
import pyarrow.parquet as pq
import pytest

from recount.counting.visits import ARCHIVE_SCHEMA, cut
from recount.periods import HOUR_MS, hour_start_ms
from recount.store import parquet
from recount.store.parquet import encoded
from tests.bench import generate


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """ARCHIVE_SCHEMA as `cut` gives it, with nulls in many columns."""
    end_ms = hour_start_ms(generate.HOUR) + HOUR_MS
    return cut(generate.events(3_000, sites=7), None, end_ms).events


def coded(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows, their texts numbered in another order than they come in."""
    texts = [n for n, kind in rows.schema.items() if kind == pl.String and n not in parquet.UNIQUE]
    kinds = {name: pl.Categorical(pl.Categories.random()) for name in texts}
    numbered = pl.concat([rows.reverse(), rows]).cast(kinds)  # type: ignore[arg-type]
    return numbered.tail(rows.height)


@pytest.fixture(params=["one row group", "several"])
def row_groups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    if request.param == "several":
        monkeypatch.setattr(parquet, "FEW_ROWS", 0)
        monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 700)
        monkeypatch.setattr(parquet, "SHARED_TEXTS_MAX", 20)
        return 5
    return 1


def test_rows_come_back_as_they_were(rows: pl.DataFrame, row_groups: int) -> None:
    data = encoded(rows)
    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == row_groups
    for found in (pl.read_parquet(io.BytesIO(data)), pl.from_arrow(pq.read_table(io.BytesIO(data)))):
        assert isinstance(found, pl.DataFrame)
        assert found.schema == ARCHIVE_SCHEMA
        assert found.equals(rows)


def test_the_file_depends_on_the_rows_alone(rows: pl.DataFrame, row_groups: int) -> None:
    assert bytes(encoded(coded(rows))) == bytes(encoded(rows))


def test_few_rows_and_many_make_the_same_file(rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [bytes(encoded(frame)) for frame in (rows, coded(rows), rows.head(1))]
    monkeypatch.setattr(parquet, "FEW_ROWS", 0)
    assert few == [bytes(encoded(frame)) for frame in (rows, coded(rows), rows.head(1))]


def test_texts_of_other_rows_are_not_written(rows: pl.DataFrame) -> None:
    one = coded(rows).filter(pl.col("site") == "site0001")
    assert b"site0002" not in bytes(encoded(one))
    assert encoded(one).nbytes < encoded(rows).nbytes / 3


def test_row_groups_say_between_which_sites_they_lie(rows: pl.DataFrame, row_groups: int) -> None:
    file = pq.ParquetFile(io.BytesIO(encoded(coded(rows))))
    sites = file.schema.names.index("site")
    for number in range(row_groups):
        seen = file.metadata.row_group(number).column(sites).statistics
        held = rows["site"][number * 700 : (number + 1) * 700] if row_groups > 1 else rows["site"]
        assert (seen.min, seen.max) == (held.min(), held.max())


def test_a_file_without_rows() -> None:
    nothing = pl.DataFrame(schema=ARCHIVE_SCHEMA)
    assert pl.read_parquet(io.BytesIO(encoded(nothing))).equals(nothing)

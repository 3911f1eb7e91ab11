"""Parquet of the archive: rows sorted by site and visitor, most of whose columns are texts that repeat.

What a file holds depends on the rows alone: texts that come as numbers (Categorical) are written as the texts
they are, in dictionaries by first appearance.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS: Final = 131_072
ZSTD_LEVEL: Final = 1  # level 3 takes a sixth longer for 2 % less
UNIQUE: Final = frozenset({"id"})  # texts of which a dictionary would hold as many as there are rows
IN_RUNS: Final = frozenset({"visitor", "visit_start"})  # what zstd packs better than differences
SOUGHT: Final = ("site", "visitor")  # whose row groups are found by their least and largest value

FEW_ROWS: Final = (
    20_000  # whose texts pyarrow numbers sooner than one call a column is made; to the same file
)
SHARED_TEXTS_MAX: Final = 4_096  # a dictionary of so few is the same in all row groups

_PLAIN: Final = pl.CompatLevel.oldest()
_TEXTS: Final = pa.dictionary(pa.int32(), pa.large_string())
_PAGE_BYTES: Final = 1 << 24  # a page a column of a row group
_DICTIONARY_BYTES: Final = 1 << 30


def encoded(frame: pl.DataFrame) -> memoryview:
    """A file of these rows, in row groups of ROW_GROUP_ROWS."""
    schema = pa.schema(_field(column) for column in frame)
    if frame.height <= FEW_ROWS:
        columns = _of_few(frame, schema)
    else:
        columns = [_row_groups(column) for column in frame.rechunk()]
    out = pa.BufferOutputStream()
    with pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[field.name for field in schema if pa.types.is_dictionary(field.type)],
        column_encoding=_encodings(frame),
        write_statistics=[name for name in SOUGHT if name in frame.columns],
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        data_page_size=_PAGE_BYTES,
        max_rows_per_page=ROW_GROUP_ROWS,
        store_schema=False,  # so that texts are read as texts
    ) as writer:
        for arrays in zip(*columns, strict=True):
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=ROW_GROUP_ROWS)
    return memoryview(out.getvalue())


def _field(column: pl.Series) -> pa.Field:
    """A column without nulls is said to have none, which spares a mark a row."""
    kind = column[:0].to_arrow(compat_level=_PLAIN).type
    return pa.field(column.name, _TEXTS if _repeats(column) else kind, nullable=column.null_count() > 0)


def _repeats(column: pl.Series) -> bool:
    """Whether it is worth a dictionary."""
    is_coded = isinstance(column.dtype, pl.Categorical)
    return is_coded or (column.dtype == pl.String and column.name not in UNIQUE)


def _encodings(frame: pl.DataFrame) -> dict[str, str]:
    unique = {name: "DELTA_LENGTH_BYTE_ARRAY" for name in frame.columns if name in UNIQUE}
    whole = (name for name, kind in frame.schema.items() if kind.is_integer() and name not in IN_RUNS)
    return unique | dict.fromkeys(whole, "DELTA_BINARY_PACKED")


def _of_few(frame: pl.DataFrame, schema: pa.Schema) -> list[list[pa.Array]]:
    """One row group of all rows, none where there are none."""
    coded = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Categorical)]
    plain = frame.with_columns(pl.col(coded).cast(pl.String)).to_arrow(compat_level=_PLAIN)
    arrays = [column.combine_chunks() for column in plain.columns]
    return [
        [array.dictionary_encode() if pa.types.is_dictionary(field.type) else array][: frame.height]
        for array, field in zip(arrays, schema, strict=True)
    ]


def _row_groups(column: pl.Series) -> list[pa.Array]:
    starts = range(0, len(column), ROW_GROUP_ROWS)
    if _repeats(column):
        texts = column.cast(pl.Categorical(pl.Categories.random())) if column.dtype == pl.String else column
        whole = _with_dictionary(texts, SHARED_TEXTS_MAX)
        if whole is None:
            return [_with_dictionary(texts[at : at + ROW_GROUP_ROWS], ROW_GROUP_ROWS) for at in starts]
    else:
        whole = column.to_arrow(compat_level=_PLAIN)
    return [whole[at : at + ROW_GROUP_ROWS] for at in starts]


def _with_dictionary(texts: pl.Series, most: int) -> pa.DictionaryArray | None:
    """Texts as places in a dictionary by first appearance; None if that would hold more than `most`."""
    numbers = texts.to_physical()
    largest = numbers.max()
    none = largest + 1 if isinstance(largest, int) else 0  # stands for no text
    codes = (numbers.fill_null(none) if numbers.null_count() else numbers).to_numpy()
    places = np.full(none + 1, len(codes), dtype=np.int32)
    places[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int32)  # the last one stays
    places[none] = len(codes)
    present = np.flatnonzero(places < len(codes))
    if len(present) > most:
        return None
    present = present[np.argsort(places[present])]
    values = texts.gather(places[present]).cast(pl.String).to_arrow(compat_level=_PLAIN)
    places[present] = np.arange(len(present), dtype=np.int32)
    indices = pl.Series(places[codes])
    if numbers.null_count():
        indices = pl.select(pl.when(numbers.is_not_null()).then(indices)).to_series()
    return pa.DictionaryArray.from_arrays(indices.to_arrow(), values, safe=False)

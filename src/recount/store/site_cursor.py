"""Rows of a Parquet file that is sorted by site, range after range of sites: each row group is read once.

Texts come as dictionaries, as the file has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recount.store.row_groups import SITE


class SiteCursor:
    """Goes through a file once; not to be shared between threads."""

    def __init__(self, file: pq.ParquetFile, columns: Sequence[str]) -> None:
        self._file = file
        self._columns = list(columns)
        metadata = file.metadata
        place = metadata.schema.names.index(SITE)
        self._firsts = [
            _first_site(metadata.row_group(group).column(place)) for group in range(metadata.num_row_groups)
        ]
        self._next = 0
        self._left = self._read([])

    def take(self, end: str | None) -> pa.Table:
        """The rows of the sites below `end` (None: of all) that are not taken yet."""
        first = self._next
        while self._next < len(self._firsts) and (end is None or self._firsts[self._next] < end):
            self._next += 1
        rows = pa.concat_tables([self._left, self._read(range(first, self._next))])
        below = len(rows) if end is None else _rows_below(rows[SITE], end)
        self._left = rows.slice(below)
        return rows.slice(0, below)

    def _read(self, groups: Sequence[int]) -> pa.Table:
        return self._file.read_row_groups(list(groups), columns=self._columns)


def _first_site(column: pq.ColumnChunkMetaData) -> str:
    """No site where the file does not say."""
    seen = column.statistics
    return seen.min if seen is not None and seen.has_min_max else ""


def _rows_below(sites: pa.ChunkedArray, end: str) -> int:
    rows = 0
    for chunk in sites.chunks:
        is_below = np.array([site < end for site in chunk.dictionary.to_pylist()], dtype=np.bool_)
        rows += int(is_below[chunk.indices.to_numpy()].sum())
    return rows

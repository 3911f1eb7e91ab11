"""One site's rows of Parquet files that are sorted by site: what they take to read, and the rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq

SITE: Final = "site"


@dataclass(frozen=True)
class RowGroup:
    """sizes: compressed bytes of each column; first, last: the sites between which its rows lie (None: the
    file does not say)."""

    rows: int
    sizes: tuple[int, ...]
    first: str | None
    last: str | None

    def may_hold(self, site: str) -> bool:
        return self.first is None or self.last is None or self.first <= site <= self.last


@dataclass(frozen=True)
class Footer:
    """What the footer of a file says of its row groups."""

    columns: tuple[str, ...]
    groups: tuple[RowGroup, ...]

    @classmethod
    def of(cls, file: pq.ParquetFile) -> Footer:
        metadata = file.metadata
        columns = tuple(metadata.schema.names)
        groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
        return cls(columns, tuple(_group(group, columns.index(SITE)) for group in groups))

    def groups_of(self, site: str) -> tuple[int, ...]:
        """The row groups that may hold a site's rows."""
        return tuple(number for number, group in enumerate(self.groups) if group.may_hold(site))

    def bytes_of(self, groups: Sequence[int], columns: Collection[str]) -> int:
        """Compressed bytes that reading columns of row groups takes."""
        wanted = {SITE, *columns}
        numbers = [number for number, name in enumerate(self.columns) if name in wanted]
        return sum(self.groups[group].sizes[number] for group in groups for number in numbers)


def read(file: pq.ParquetFile, groups: Sequence[int], columns: Sequence[str], site: str) -> pl.DataFrame:
    """A site's rows of some row groups, in the order of the file."""
    table = file.read_row_groups(
        list(groups), columns=list({SITE: 0} | dict.fromkeys(columns)), use_threads=False
    )
    frame = pl.from_arrow(table.filter(pc.equal(table[SITE], site)))
    assert isinstance(frame, pl.DataFrame)
    return frame.select(columns)


def _group(group: pq.RowGroupMetaData, site: int) -> RowGroup:
    columns = [group.column(number) for number in range(group.num_columns)]
    seen = columns[site].statistics
    known = seen is not None and seen.has_min_max
    sizes = tuple(column.total_compressed_size for column in columns)
    return RowGroup(group.num_rows, sizes, seen.min if known else None, seen.max if known else None)

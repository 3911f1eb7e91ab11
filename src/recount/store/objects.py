"""Files of the archive in a folder or in S3, one interface for both.

A root is a folder or `s3://bucket/prefix` (credentials come from the environment; `?endpoint_override=` and
the other options of pyarrow's URI are passed on). Data files are written once under a fresh generation; what
makes them exist for readers is the small file that is written last.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import xxhash

ROW_GROUP_ROWS: Final = 131_072
ZSTD_LEVEL: Final = 3
FAST_ZSTD_LEVEL: Final = 1  # of large files: level 3 takes a sixth longer for 2 % less
MARKER_SUFFIX: Final = ".part"


@dataclass(frozen=True, order=True)
class SiteRange:
    """The sites whose names are not below `first` and below `end` (None: to the last one)."""

    first: str
    end: str | None = None

    @property
    def condition(self) -> pl.Expr:
        site = pl.col("site")
        return site >= self.first if self.end is None else (site >= self.first) & (site < self.end)

    def of(self, names: Sequence[str]) -> Sequence[str]:
        """Those of sorted names that lie in it."""
        return names[
            bisect_left(names, self.first) : None if self.end is None else bisect_left(names, self.end)
        ]


Sites = Sequence[str] | SiteRange


class Objects:
    """Whole files and columnar frames by a path relative to the root; paths use `/` everywhere."""

    def __init__(self, root: str) -> None:
        self._folder = None if "://" in root else Path(root).absolute()
        if self._folder is None:
            self._fs, base = pafs.FileSystem.from_uri(root)
        else:
            self._fs, base = pafs.LocalFileSystem(), str(self._folder)
        self._base = base.rstrip("/")

    def put(self, path: str, data: bytes) -> None:
        """Write a file whole: a reader sees nothing or all of it."""
        full = self._full(path)
        self._make_parent(full)
        target = full if self._folder is None else full + MARKER_SUFFIX
        with self._fs.open_output_stream(target) as out:
            out.write(data)
        if target != full:
            self._fs.move(target, full)

    def get(self, path: str) -> bytes | None:
        """The content, or None where there is no such file."""
        try:
            with self._fs.open_input_file(self._full(path)) as source:
                data: bytes = source.readall()
                return data
        except FileNotFoundError:
            return None

    def names(self, path: str) -> list[str]:
        """What a folder holds, sorted; empty where there is none."""
        found = self._fs.get_file_info(pafs.FileSelector(self._full(path), allow_not_found=True))
        return sorted(info.base_name for info in found)

    def folders(self, path: str, depth: int) -> dict[str, int]:
        """The folders `depth` levels below a path, relative to it, and the bytes of the files in each."""
        base = self._full(path)
        selector = pafs.FileSelector(base, allow_not_found=True, recursive=True)
        found: dict[str, int] = {}
        for info in self._fs.get_file_info(selector):
            parts = info.path.removeprefix(base.rstrip("/") + "/").split("/")
            if info.type == pafs.FileType.File and len(parts) > depth:
                folder = "/".join(parts[:depth])
                found[folder] = found.get(folder, 0) + (info.size or 0)
        return dict(sorted(found.items()))

    def remove(self, path: str) -> None:
        """Delete a folder with all it holds; fine where there is none."""
        if self._fs.get_file_info(self._full(path)).type != pafs.FileType.NotFound:
            self._fs.delete_dir(self._full(path))

    def put_frame(self, path: str, frame: pl.DataFrame, *, level: int = ZSTD_LEVEL) -> tuple[int, str]:
        """Write rows as Parquet; returns (bytes, digest).

        The digest depends on the rows and their order alone: the same frame gives the same file.
        """
        return self.put_data(path, _parquet(frame, level))

    def put_data(self, path: str, data: memoryview) -> tuple[int, str]:
        """Write a data file that nobody looks for yet; returns (bytes, digest)."""
        full = self._full(path)
        self._make_parent(full)
        with self._fs.open_output_stream(full) as out:
            out.write(data)
        return len(data), xxhash.xxh3_128_hexdigest(data)

    def replace_frame(self, path: str, frame: pl.DataFrame, *, level: int = ZSTD_LEVEL) -> None:
        """The same over a file that others read meanwhile: they see the old one or the new one, whole."""
        self.put(path, bytes(_parquet(frame, level)))

    def open_parquet(self, path: str, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
        """A Parquet file of which the footer is read; `dictionaries`: texts that are read as such. Raises
        FileNotFoundError where there is none."""
        file = self._fs.open_input_file(self._full(path))
        return pq.ParquetFile(file, read_dictionary=list(dictionaries))

    def get_frame(
        self, paths: Sequence[str], columns: Sequence[str] | None = None, sites: Sites | None = None
    ) -> pl.DataFrame:
        """The rows of files, one after another; `sites` reads only the row groups that hold them. With
        `columns`, which all of them have, one file may have others that an older one lacks.

        Raises FileNotFoundError for a path that does not exist, ValueError for no path at all.
        """
        if not paths:
            raise ValueError("no file to read")
        if self._folder is None:
            return pl.concat([self._remote_frame(p, columns, sites) for p in paths])
        others: Literal["raise", "ignore"] = "raise" if columns is None else "ignore"
        lazy = pl.scan_parquet([self._full(p) for p in paths], glob=False, extra_columns=others)
        if isinstance(sites, SiteRange):
            lazy = lazy.filter(sites.condition)
        elif sites is not None:
            lazy = lazy.filter(pl.col("site").is_in(list(sites)))
        return (lazy if columns is None else lazy.select(columns)).collect()

    def get_sites(
        self, wanted: Mapping[str, Sequence[str]], columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """The rows of some sites (one at least) from each of several files, all read in one go."""
        if not wanted:
            raise ValueError("no file to read")
        if self._folder is None:
            return pl.concat([self._remote_frame(path, columns, sites) for path, sites in wanted.items()])
        site = pl.col("site")
        rows = pl.concat(
            pl.scan_parquet(self._full(path), glob=False).filter(
                site.is_between(pl.lit(min(sites)), pl.lit(max(sites))), site.is_in(list(sites))
            )
            for path, sites in wanted.items()
        )
        return (rows if columns is None else rows.select(columns)).collect()

    def _remote_frame(self, path: str, columns: Sequence[str] | None, sites: Sites | None) -> pl.DataFrame:
        filters = None if sites is None else _filters(sites)
        table = pq.read_table(
            self._full(path),
            columns=None if columns is None else list(columns),
            filesystem=self._fs,
            filters=filters,
        )
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def _full(self, path: str) -> str:
        return f"{self._base}/{path}"

    def _make_parent(self, full: str) -> None:
        if self._folder is not None:
            self._fs.create_dir(full.rpartition("/")[0], recursive=True)


def _parquet(frame: pl.DataFrame, level: int) -> memoryview:
    buffer = io.BytesIO()
    frame.rechunk().write_parquet(
        buffer,
        compression="zstd",
        compression_level=level,
        row_group_size=ROW_GROUP_ROWS,
        statistics=True,
    )
    return buffer.getbuffer()


def _filters(sites: Sites) -> list[tuple[str, str, Any]]:
    """For pyarrow, to which an empty list has no type."""
    if not isinstance(sites, SiteRange):
        return [("site", "in", pa.array(sites, pa.string()))]
    return [("site", ">=", sites.first), *([] if sites.end is None else [("site", "<", sites.end)])]

"""A site's archived events, out of the archive as they lie there: row group by row group, never more at once.

What is written is whole only once `Writer.end` has been written: a Parquet file ends with its footer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recount.counting.rollup import VERDICT
from recount.querying.query import Span
from recount.scanning.dimensions import Lookup, facts_of
from recount.scanning.gate import Stop
from recount.scanning.reading import Columns
from recount.scanning.scanner import Found, Scanner
from recount.scanning.valued import Rows
from recount.store.catalog import Site

Format = Literal["csv", "parquet"]

FORMATS: Final[tuple[Format, ...]] = ("csv", "parquet")
MEDIA_TYPES: Final[dict[Format, str]] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
ZSTD: Final = "zstd"
_MOMENT: Final = pl.Datetime("ms", "UTC")

EXPORTED: Final[dict[str, pl.DataType]] = {
    **{"id": pl.String(), "ts": _MOMENT, "kind": pl.String(), "name": pl.String(), "url": pl.String()},
    **{"referrer": pl.String(), "visitor": pl.String(), "visit_start": _MOMENT, "position": pl.UInt32()},
    **{"entry_url": pl.String(), "entry_referrer": pl.String(), VERDICT: pl.String()},
    **dict.fromkeys(("ua", "lang", "screen", "country", "region", "network", "props"), pl.String()),
    **{"revenue_amount": pl.String(), "revenue_currency": pl.String(), "engaged_ms": pl.Int64()},
    **{"scroll_percent": pl.Int16(), "source_kind": pl.String(), "received": _MOMENT},
    "ts_clamped": pl.Boolean(),
}
"""The columns of an export, in order."""

_READ: Final = tuple(dict.fromkeys((*(n for n in EXPORTED if n != VERDICT), *facts_of(VERDICT, ruled=True))))
COLUMNS: Final = Columns(_READ)


class Writer(Protocol):
    """Frames of EXPORTED to bytes."""

    def begin(self) -> bytes: ...

    def rows(self, frame: pl.DataFrame) -> bytes: ...

    def end(self) -> bytes: ...


def frames(
    scanner: Scanner, site: Site, span: Span, zone: str, found: Found, stop: Stop
) -> Iterator[pl.DataFrame]:
    """The events between the moments of a span (EXPORTED), by hour; within it by slot, visitor and time.

    Raises Vanished where the archive is replaced meanwhile, Cancelled.
    """
    start_ms, end_ms = span.bounds_ms(zone)
    inside = pl.col("ts").is_between(start_ms, end_ms, closed="left")
    for piece in scanner.pieces(site, scanner.common(), found.hours):
        for hour in piece.hours:
            for rows in scanner.reader.groups(site.id, hour, COLUMNS, stop):
                kept = rows.filter(inside)
                if not kept.is_empty():
                    yield _exported(piece.lookup, kept)


def writer_of(wanted: Format) -> Writer:
    return _Parquet() if wanted == "parquet" else _Csv()


def _exported(lookup: Lookup, rows: pl.DataFrame) -> pl.DataFrame:
    verdict = Rows.of(rows, lookup).valued(VERDICT).value
    moments = [pl.col(name).cast(kind) for name, kind in EXPORTED.items() if kind == _MOMENT]
    visitors = pl.Series("visitor", [f"{visitor:016x}" for visitor in rows["visitor"]], dtype=pl.String)
    verdicts = verdict.values.gather(verdict.codes).alias(VERDICT)
    return rows.with_columns(*moments, visitors, verdicts).select(*EXPORTED)


class _Csv:
    def begin(self) -> bytes:
        return pl.DataFrame(schema=EXPORTED).write_csv().encode()

    def rows(self, frame: pl.DataFrame) -> bytes:
        return frame.write_csv(include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ").encode()

    def end(self) -> bytes:
        return b""


class _Parquet:
    """A row group a frame."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._schema = pl.DataFrame(schema=EXPORTED).to_arrow().schema
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self._schema, compression=ZSTD)

    def begin(self) -> bytes:
        return self._sink.taken()

    def rows(self, frame: pl.DataFrame) -> bytes:
        self._writer.write_table(frame.to_arrow().cast(self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


class _Sink:
    """A file to pyarrow, of which what has been written is taken away each time."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data

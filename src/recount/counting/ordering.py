"""Events in the order in which they are cut into visits: visitor by visitor, each one's by time."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recount.counting.coding import code

_Ints = NDArray[np.int64]
_Words = NDArray[np.uint64]
_Flags = NDArray[np.bool_]

_TIES: Final = ("received", "spool", "seq")
_WORD_BITS: Final = 64


def ordered_by_visitor(events: pl.DataFrame) -> tuple[pl.DataFrame, _Flags]:
    """Events (one at least) by (site, visitor, ts, received, spool, seq), and where a visitor begins."""
    events = events.rechunk()  # gathering from many chunks is dozens of times slower
    sites, visitors = _site_ranks(events["site"]), events["visitor"].to_numpy()
    order = _order(events, sites, visitors)
    sites, visitors = sites[order], visitors[order]
    begins = np.append(True, (visitors[1:] != visitors[:-1]) | (sites[1:] != sites[:-1]))
    return events.select(pl.all().gather(pl.Series(order, dtype=pl.UInt32))), begins


def _site_ranks(site: pl.Series) -> _Words:
    coded = code(site)
    return coded.shown_as(coded.values).codes.astype(np.uint64)


def _order(events: pl.DataFrame, sites: _Words, visitors: _Words) -> _Ints:
    """Sorted by one number a row: its site, the upper bits of the visitor, the time. Where that does not tell
    two rows apart, by all there is."""
    ts = events["ts"].to_numpy()
    ts = (ts - ts.min()).astype(np.uint64)
    time_bits, site_bits = int(ts.max()).bit_length(), int(sites.max()).bit_length()
    visitor_bits = _WORD_BITS - time_bits - site_bits
    if visitor_bits < 0:
        return _exactly(events, np.arange(events.height), sites)
    people = (sites << np.uint64(visitor_bits)) | (visitors >> np.uint64(_WORD_BITS - visitor_bits))
    keys = (people << np.uint64(time_bits)) | ts
    order = np.argsort(keys)
    keys, visitors = keys[order], visitors[order]
    people = keys >> np.uint64(time_bits)
    same = people[1:] == people[:-1]
    unclear = same & ((visitors[1:] != visitors[:-1]) | (keys[1:] == keys[:-1]))
    if unclear.any():
        runs = np.cumsum(np.append(0, ~same))
        concerned = np.isin(runs, runs[1:][unclear])
        order[concerned] = _exactly(events, order[concerned], people[concerned])
    return order


def _exactly(events: pl.DataFrame, rows: _Ints, first: _Words) -> _Ints:
    """Some rows by a number of each, and then by all that orders a visitor's events."""
    facts = events.select(pl.col("visitor", "ts", *_TIES).gather(pl.Series(rows)))
    by = facts.with_columns(pl.col("spool").cast(pl.String), first=pl.Series(first), row=pl.Series(rows))
    return by.sort("first", "visitor", "ts", *_TIES)["row"].to_numpy()

"""Marks of dead letters: which of them lie in which hour, for its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import polars as pl

from recount.columns import drop_repeats
from recount.event import POSITION_SCHEMA
from recount.glimpse import glimpse
from recount.quarantine import DeadLetter
from recount.store import blobs
from recount.store.raw_items import source_key, source_of
from recount.store.table import Item

MARKS_MAX: Final = 1_000  # of dead letters in an item: well below 400 KB

_Mark = tuple[int, str, str | None, str | None, int | None]  # offset, reason, site, spool, seq

DEAD_SCHEMA: Final[dict[str, pl.DataType]] = {
    **POSITION_SCHEMA,
    "reason": pl.String(),
    "site": pl.String(),
    "spool": pl.String(),
    "seq": pl.Int64(),
}


def marks(dead: Sequence[DeadLetter]) -> Iterator[Item]:
    """Which letters lie in which hour, for its ledger. They never expire: a letter may be retried as long as
    it exists, and until then it is missing from the hour."""
    letters = [(letter, glimpse(letter.value)) for letter in dead]
    by_place = groupby(
        sorted(letters, key=lambda entry: (entry[1].hour or "", entry[0].topic, entry[0].partition)),
        key=lambda entry: (entry[1].hour, entry[0].topic, entry[0].partition),
    )
    for (hour, topic, partition), group in by_place:
        found = sorted(((d.offset, d.reason, g.site, g.spool, g.seq) for d, g in group), key=itemgetter(0))
        for at in range(0, len(found), MARKS_MAX):
            part = found[at : at + MARKS_MAX]
            sk = f"{source_key(topic, partition)}#{part[0][0]:020d}#{part[-1][0]:020d}"
            yield {"pk": dead_pk(hour), "sk": sk, "data": blobs.pack(part)}


def dead_pk(hour: str | None) -> str:
    """Where the marks of an hour lie; of None those whose hour cannot be told."""
    return f"dead#{hour or 'unknown'}"


def without_site(item: Item, site: str) -> Item | None:
    """Marks without those of a site; None where nothing is left of them."""
    found = blobs.unpack(item["data"], list[_Mark])
    left = [mark for mark in found if mark[2] != site]
    if len(left) == len(found):
        return item
    return item | {"data": blobs.pack(left)} if left else None


def letters_of(items: Iterable[Item]) -> pl.DataFrame:
    """The dead letters that some marks speak of: DEAD_SCHEMA, each once, in order."""
    rows = [
        (topic, partition, *row)
        for item in items
        for topic, partition in [source_of(item["sk"])]
        for row in blobs.unpack(item["data"], list[_Mark])
    ]
    found = pl.DataFrame(rows, schema=DEAD_SCHEMA, orient="row")
    return drop_repeats(found).sort(list(POSITION_SCHEMA))

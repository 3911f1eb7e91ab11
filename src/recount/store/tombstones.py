"""Tombstones in the table `catalog`: `tombstone / <erasure id>`. Every reader of raw events asks for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from recount.erasing.tombstone import Tombstone
from recount.errors import Unavailable
from recount.store.table import Table

TOMBSTONES: Final = "tombstone"
KEPT_S: Final = 5.0

Buried = Callable[[], Sequence[Tombstone]]
"""What a reader of raw events asks before it hands any on."""


class Tombstones:
    """Reads and writes; `active` is one short query."""

    def __init__(self, table: Table, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._table = table
        self._now_ms = now_ms

    def put(self, tombstone: Tombstone) -> None:
        """In force for every read that begins from now on; fine if it is there already."""
        text = msgspec.json.encode(tombstone).decode()
        self._table.put({"pk": TOMBSTONES, "sk": tombstone.id, "tombstone": text})

    def active(self) -> list[Tombstone]:
        """Those in force, oldest first."""
        now_ms = self._now_ms()
        return [tombstone for tombstone in self._all() if tombstone.expires_ms > now_ms]

    def get(self, erasure_id: str) -> Tombstone | None:
        """The tombstone of an erasure; None once it has expired and is deleted."""
        item = self._table.get((TOMBSTONES, erasure_id), consistent=True)
        return None if item is None else msgspec.json.decode(item["tombstone"], type=Tombstone)

    def remove_expired(self) -> int:
        """Delete those that nothing is left of which they could take; returns how many."""
        now_ms = self._now_ms()
        over = [tombstone.id for tombstone in self._all() if tombstone.expires_ms <= now_ms]
        self._table.delete_many([(TOMBSTONES, name) for name in over])
        return len(over)

    def _all(self) -> list[Tombstone]:
        items = self._table.query(TOMBSTONES, consistent=True)
        return [msgspec.json.decode(item["tombstone"], type=Tombstone) for item in items]


def remembered(
    read: Buried,
    *,
    patient: bool = False,
    kept_s: float = KEPT_S,
    clock: Callable[[], float] = time.monotonic,
) -> Buried:
    """The same for one thread that reads all the time: asks again every few seconds.

    Raises Unavailable where it should ask and cannot; with `patient` only as long as it never could.
    """
    known: Sequence[Tombstone] | None = None
    asked_at = float("-inf")

    def buried() -> Sequence[Tombstone]:
        nonlocal known, asked_at
        if known is None or clock() - asked_at >= kept_s:
            asked_at = clock()
            try:
                known = read()
            except Unavailable:
                if known is None or not patient:
                    asked_at = float("-inf")
                    raise
        return known

    return buried


def none() -> Sequence[Tombstone]:
    """For readers of tables in which nothing was ever erased."""
    return ()

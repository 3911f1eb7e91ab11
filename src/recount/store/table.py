"""The one table interface that every store is built on: DynamoDB, DAX, or memory.

A table has a string partition key `pk` and a string sort key `sk`; an item is a flat mapping of str, int,
bool, bytes, None, and lists or maps of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

Value = Any  # str | int | bool | bytes | None | list | dict of these; DynamoDB has no narrower static type
Item = dict[str, Value]
Key = tuple[str, str]

ITEM_MAX_BYTES: Final = 380_000  # DynamoDB takes 400 KB with names and keys


class Reads(Protocol):
    """The one method of a table that reading known items takes."""

    def get_many(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """The items that exist, any number of keys."""
        ...


class Table(Reads, Protocol):
    """Behaviour that the contract suite checks on every implementation."""

    def get(self, key: Key, *, consistent: bool = False) -> Item | None:
        """The item, or None where there is none."""
        ...

    def query(
        self,
        pk: str,
        *,
        start: str | None = None,
        end: str | None = None,
        descending: bool = False,
        limit: int | None = None,
        consistent: bool = False,
    ) -> Iterator[Item]:
        """Items of a partition by sort key, `start` and `end` both included."""
        ...

    def scan(self) -> Iterator[Item]:
        """Every item, in no order. For small tables and repair tools."""
        ...

    def put(
        self, item: Item, *, if_absent: bool = False, if_equals: Mapping[str, Value] | None = None
    ) -> None:
        """Write an item whole; raises Conflict where the stored item is not as the condition says."""
        ...

    def put_many(self, items: Iterable[Item]) -> None:
        """Write any number of items, all of them or Unavailable; no two with the same key."""
        ...

    def delete(self, key: Key) -> None:
        """Remove an item; fine where there is none."""
        ...

    def delete_many(self, keys: Sequence[Key]) -> None:
        """Remove any number of items, all of them or Unavailable; fine where there is none."""
        ...


def key_of(item: Item) -> Key:
    return item["pk"], item["sk"]

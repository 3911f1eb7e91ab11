"""Records: structs that are kept as one item each and changed by one writer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from recount.errors import Conflict
from recount.store.table import Item, Key, Table


class Revised(Protocol):
    """A frozen msgspec.Struct whose `revision` counts its changes: a writer names the one that was read."""

    @property
    def revision(self) -> int: ...


R = TypeVar("R", bound=Revised)


@dataclass(frozen=True)
class Records(Generic[R]):
    """The records of one kind in a table: JSON in the attribute `attribute` of the item at `key_of(record)`.

    `conflict` says in words that another writer was faster with a record.
    """

    table: Table
    kind: type[R]
    attribute: str
    key_of: Callable[[R], Key]
    conflict: Callable[[R], str]

    def find(self, key: Key) -> R | None:
        item = self.table.get(key, consistent=True)
        return None if item is None else self._decode(item)

    def query(self, pk: str, *, descending: bool = False, limit: int | None = None) -> Iterator[R]:
        """The records of a partition by sort key."""
        return map(self._decode, self.table.query(pk, descending=descending, limit=limit, consistent=True))

    def add(self, record: R) -> None:
        """Raises Conflict where there is one of that key."""
        try:
            self.table.put(self._item(record), if_absent=True)
        except Conflict:
            raise Conflict(self.conflict(record)) from None

    def change(self, record: R, **fields: object) -> R:
        """Write changed fields; raises Conflict where another writer did since the record was read."""
        fields["revision"] = record.revision + 1
        changed: R = msgspec.structs.replace(record, **fields)  # type: ignore[type-var] # no Protocol is a Struct
        try:
            self.table.put(self._item(changed), if_equals={"revision": record.revision})
        except Conflict:
            raise Conflict(self.conflict(record)) from None
        return changed

    def _item(self, record: R) -> Item:
        pk, sk = self.key_of(record)
        text = msgspec.json.encode(record).decode()
        return {"pk": pk, "sk": sk, self.attribute: text, "revision": record.revision}

    def _decode(self, item: Item) -> R:
        return msgspec.json.decode(item[self.attribute], type=self.kind)

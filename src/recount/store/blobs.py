"""Immutable JSON of any size in a table: zstd, cut into items below DynamoDB's limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar

import msgspec
import zstandard

from recount.errors import Unavailable
from recount.store.table import ITEM_MAX_BYTES, Item, Key, Reads, Table

T = TypeVar("T")
ZSTD_LEVEL: Final = 6


def items(key: Key, data: bytes) -> Iterator[Item]:
    """The items of one blob: sort keys `<sk>#0000`, ..., the first says how many there are."""
    chunks = [data[at : at + ITEM_MAX_BYTES] for at in range(0, len(data), ITEM_MAX_BYTES)] or [b""]
    for number, chunk in enumerate(chunks):
        yield {"pk": key[0], "sk": f"{key[1]}#{number:04d}", "data": chunk, "chunks": len(chunks)}


def pack(value: object) -> bytes:
    """Compressed JSON."""
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(msgspec.json.encode(value))


def unpack(data: bytes, kind: type[T]) -> T:
    return msgspec.json.decode(zstandard.ZstdDecompressor().decompress(data), type=kind)


def put(table: Table, blobs: Mapping[Key, object]) -> None:
    """Write values under fresh keys."""
    table.put_many(item for key, value in blobs.items() for item in items(key, pack(value)))


def get(table: Table, keys: Iterable[Key], kind: type[T]) -> dict[Key, T]:
    """The values of blobs that are known to exist, in one or two batched reads.

    A chunk that an eventually consistent read does not show yet is read again consistently; raises
    Unavailable where even that finds nothing.
    """
    wanted = list(dict.fromkeys(keys))
    firsts = fetch_existing(table, [(pk, f"{sk}#0000") for pk, sk in wanted])
    heads = [firsts[pk, f"{sk}#0000"] for pk, sk in wanted]
    rest = fetch_existing(
        table,
        [
            (pk, f"{sk}#{n:04d}")
            for (pk, sk), head in zip(wanted, heads, strict=True)
            for n in range(1, head["chunks"])
        ],
    )
    found: dict[Key, T] = {}
    for (pk, sk), head in zip(wanted, heads, strict=True):
        chunks = [head["data"], *(rest[pk, f"{sk}#{n:04d}"]["data"] for n in range(1, head["chunks"]))]
        found[pk, sk] = unpack(b"".join(chunks), kind)
    return found


def fetch_existing(table: Table, keys: list[Key], through: Reads | None = None) -> dict[Key, Item]:
    """Items that were written before something visible named them; never takes a miss for an absence.

    `through` is asked first (the table itself unless given), and what it denies is read from the table.
    """
    found = (through or table).get_many(keys) if keys else {}
    for key in keys:
        if key not in found:
            item = table.get(key, consistent=True)
            if item is None:
                raise Unavailable("dynamodb", f"item {key[0]} {key[1]} is named but cannot be read")
            found[key] = item
    return found

"""Lists of attribute names and their numbers, which outlive the node.

Items travel as the number of a list and the values in its order. Clients remember both directions for ever,
so a number must never come to mean another list. It is made from the names themselves: the same list has one
number on every node and after every restart. A file keeps the way back, from numbers to names.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson

from dax.errors import Refusal, SetupError

EMPTY_ID: Final = 1  # by definition of the protocol
LISTS_MAX: Final = 200_000
LIST_MAX_BYTES: Final = 2 * 1024 * 1024
FILE_MAX_BYTES: Final = 256 * 1024 * 1024
FILE: Final = "attribute-lists.jsonl"

Names = tuple[str, ...]


def number_of(names: Sequence[str]) -> int:
    """62 bits of a hash, so that a meeting of two lists is not to be expected; the file would notice."""
    if not names:
        return EMPTY_ID
    digest = blake2b(orjson.dumps(list(names)), digest_size=8, person=b"dax-attr-list").digest()
    return (int.from_bytes(digest, "big") >> 2) + 2


class AttributeLists:
    """All lists known; new ones are on disk before their number is used."""

    def __init__(self, folder: Path) -> None:
        """Raises SetupError where the folder cannot be used, is in use, or its file is damaged."""
        self._names: dict[int, Names] = {EMPTY_ID: ()}
        self._ids: dict[Names, int] = {(): EMPTY_ID}
        self._path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise SetupError(f"the state folder {folder} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise SetupError(
                f"another node uses {self._path}: give each node a state folder of its own"
            ) from None
        self._load()

    def close(self) -> None:
        os.close(self._file)

    def __len__(self) -> int:
        return len(self._names)

    def names(self, number: int) -> Names:
        """Raises Refusal where no client has ever been given this number."""
        found = self._names.get(number)
        if found is None:
            raise Refusal.invalid(
                f"attribute list {number} is unknown to this node: start it with the state folder that it"
                " had, or restart the client"
            )
        return found

    def number(self, names: Sequence[str]) -> int:
        """The number of these names, in this order."""
        wanted = tuple(names)
        known = self._ids.get(wanted)
        return self._add(wanted) if known is None else known

    def _add(self, names: Names) -> int:
        line = orjson.dumps([number_of(names), names]) + b"\n"
        if len(line) > LIST_MAX_BYTES:
            raise Refusal.invalid(f"the names of an item's attributes exceed {LIST_MAX_BYTES} bytes")
        if len(self._names) >= LISTS_MAX or self._size_bytes + len(line) > FILE_MAX_BYTES:
            raise Refusal(
                "LimitExceededException",
                f"this node takes no more attribute lists: the limits are {LISTS_MAX} lists and"
                f" {FILE_MAX_BYTES} bytes",
            )
        self._remember(number_of(names), names)
        self._size_bytes += os.write(self._file, line)
        os.fsync(self._file)
        return self._ids[names]

    def _remember(self, number: int, names: Names) -> None:
        if self._names.setdefault(number, names) != names:
            raise Refusal("InternalServerError", f"two attribute lists have the number {number}", status=500)
        self._ids[names] = number

    def _load(self) -> None:
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # a line cut short by a crash was never answered for
            os.ftruncate(self._file, whole)
        self._size_bytes = whole
        for place, line in enumerate(content[:whole].splitlines(), 1):
            try:
                number, names = orjson.loads(line)
                valid = number_of(names) == number
            except (ValueError, TypeError):
                valid = False
            if not valid:
                self.close()
                raise SetupError(
                    f"line {place} of {self._path} is damaged: restore the file or remove that line"
                )
            self._remember(number, tuple(names))

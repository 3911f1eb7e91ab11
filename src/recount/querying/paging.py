"""Cursors: where the next page of a listing begins, and the state that all its pages are of.

What is published is never overwritten, so a page is read from the very state that the first one was, whatever
has been published since.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace

import msgspec

from recount.errors import InvalidInput
from recount.querying.query import OFFSET_MAX, Query


class _Cursor(msgspec.Struct, array_like=True):
    offset: int
    root: str
    query: str


def next_cursor(query: Query, root: str | None, total: int) -> str | None:
    """What to ask the next page with; None after the last one, or where nothing is published."""
    offset = query.offset + query.limit
    if root is None or query.dimension is None or not offset < min(total, OFFSET_MAX):
        return None
    packed = msgspec.msgpack.encode(_Cursor(offset, root, _digest(query)))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def go_on(query: Query, cursor: object) -> Query:
    """The query of the next page. Raises InvalidInput for a cursor that is none, or of another query."""
    if not isinstance(cursor, str):
        raise InvalidInput("a cursor is the text that the page before gave as next", field="cursor")
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = msgspec.msgpack.decode(base64.b64decode(padded, b"-_", validate=True), type=_Cursor)
    except (ValueError, msgspec.DecodeError):
        raise InvalidInput("this is no cursor; take the one of the page before", field="cursor") from None
    if found.query != _digest(query) or not 0 <= found.offset <= OFFSET_MAX:
        detail = "the cursor is of another query or range; begin again without it"
        raise InvalidInput(detail, field="cursor")
    return replace(query, offset=found.offset, root=found.root)


def _digest(query: Query) -> str:
    """The query, whichever page of it, of any size."""
    same = replace(query, offset=0, root=None, limit=1)
    return hashlib.blake2b(repr(same).encode(), digest_size=8).hexdigest()

"""Projections: document paths, and what lies at their ends.

The client wants, for each path it asked for, the value at the path's end under the path's number. DynamoDB
gives nested attributes with gaps closed. So the node asks DynamoDB for whole top-level attributes and walks
the paths itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dax.errors import Malformed
from dax.wire import cbor, values
from dax.wire.cbor import Reader, Tagged
from dax.wire.values import Item, Value

Path = tuple[str | int, ...]
"""Names of attributes and indexes of lists, from the top."""
Projection = tuple[Path, ...]

OP_PATH: Final = 18
FORMAT: Final = 1
PATH_PARTS_MAX: Final = 64
PATHS_MAX: Final = 1_000


def read_path(node: Any) -> Path:
    """A path from its tree `[18, part, ...]`."""
    if not isinstance(node, list) or not 2 <= len(node) <= PATH_PARTS_MAX or node[0] != OP_PATH:
        raise Malformed("a document path was expected")
    path = tuple(_part(part) for part in node[1:])
    if not isinstance(path[0], str):
        raise Malformed("a document path starts with an index")
    return path


def _part(part: Any) -> str | int:
    if isinstance(part, str):
        return part
    if isinstance(part, Tagged) and part.tag == cbor.TAG_LIST_INDEX and type(part.content) is int:
        return int(part.content)
    raise Malformed("a document path has a part that is neither a name nor an index")


def read_projection(data: bytes) -> Projection:
    tree = Reader(data).item()
    if not isinstance(tree, list) or len(tree) != 2 or tree[0] != FORMAT or not isinstance(tree[1], list):
        raise Malformed("a projection is an array of its format and its paths")
    if not 0 < len(tree[1]) <= PATHS_MAX:
        raise Malformed(f"a projection has 1 to {PATHS_MAX} paths")
    return tuple(read_path(node) for node in tree[1])


def doubtful(projection: Projection) -> bool:
    """Whether DynamoDB refuses these paths: one lies on another, or one says list where another says map."""
    ordered = sorted(projection, key=lambda path: [(isinstance(part, int), part) for part in path])
    branches: dict[Path, type] = {}
    for path, following in zip(ordered, [*ordered[1:], ()], strict=True):
        if following[: len(path)] == path:
            return True
        for depth in range(1, len(path)):
            if branches.setdefault(path[:depth], type(path[depth])) is not type(path[depth]):
                return True
    return False


def top_level(projection: Projection) -> Projection:
    """The whole top-level attributes that the paths need, each once."""
    return tuple(dict.fromkeys(path[:1] for path in projection))


def at(item: Mapping[str, Value], path: Path) -> Value | None:
    value: Value | None = item.get(str(path[0]))
    for part in path[1:]:
        if value is None:
            return None
        value = _member(value, part)
    return value


def _member(value: Value, part: str | int) -> Value | None:
    if isinstance(part, str):
        inner: Value | None = value.get("M", {}).get(part)
        return inner
    elements: Sequence[Value] = value.get("L", ())
    return elements[part] if 0 <= part < len(elements) else None


def write_projected(out: bytearray, item: Item, projection: Projection) -> None:
    """Append the projected form of an item: a map from the number of a path to the value there."""
    found = [(number, at(item, path)) for number, path in enumerate(projection)]
    present = [(number, value) for number, value in found if value is not None]
    cbor.head(out, cbor.MAP, len(present))
    for number, value in present:
        cbor.integer(out, number)
        values.write(out, value)

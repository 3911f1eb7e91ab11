"""The methods of the protocol and the options that requests carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from dax.errors import Malformed, Refusal

SERVICE: Final = 1


class Method(NamedTuple):
    """`arguments`: how many items follow the method's number. A message does not say it."""

    name: str
    arguments: int


AUTHORIZE: Final = Method("authorizeConnection", 5)
GET_ITEM_NUMBER: Final = 263244906

METHODS: Final[Mapping[int, Method]] = {
    1489122155: AUTHORIZE,
    455855874: Method("endpoints", 0),
    -742646399: Method("defineKeySchema", 1),
    -1230579644: Method("defineAttributeListId", 1),
    670678385: Method("defineAttributeList", 1),
    GET_ITEM_NUMBER: Method("GetItem", 3),
    -2106490455: Method("PutItem", 4),
    1425579023: Method("UpdateItem", 3),
    1013539361: Method("DeleteItem", 3),
    -931250863: Method("Query", 3),
    -1875390620: Method("Scan", 2),
    -697851100: Method("BatchGetItem", 2),
    116217951: Method("BatchWriteItem", 2),
    1866287579: Method("TransactGetItems", 4),
    -1160037738: Method("TransactWriteItems", 9),
}

_CAPACITY: Final = {0: "NONE", 1: "TOTAL", 2: "INDEXES"}
_METRICS: Final = {0: "NONE", 1: "SIZE"}
_RETURN: Final = {1: "NONE", 2: "ALL_OLD", 3: "UPDATED_OLD", 4: "ALL_NEW", 5: "UPDATED_NEW"}
_SELECT: Final = {1: "ALL_ATTRIBUTES", 2: "ALL_PROJECTED_ATTRIBUTES", 3: "COUNT", 4: "SPECIFIC_ATTRIBUTES"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What stands in the map at the end of a request; expressions and keys still as bytes."""

    projection: bytes | None = None
    consistent: bool = False
    capacity: str = "NONE"
    condition: bytes | None = None
    metrics: str = "NONE"
    return_values: str = "NONE"
    update: bytes | None = None
    start_key: bytes | None = None
    filter: bytes | None = None
    index: str | None = None
    limit: int | None = None
    forward: bool | None = None
    select: str | None = None
    segment: int | None = None
    total_segments: int | None = None
    token: str | None = None

    @property
    def wants_capacity(self) -> bool:
        return self.capacity != "NONE"


def read_options(found: object) -> Options:
    """Raises Malformed on a value of the wrong type, Refusal on an option that does not exist."""
    if found is None:
        return Options()
    if not isinstance(found, dict):
        raise Malformed("the options of a request are not a map")
    read: dict[str, Any] = {}
    for number, value in found.items():
        if number in _IGNORED:
            continue
        if number not in _READERS:
            raise Refusal.invalid(f"this node does not know the request option {number}")
        name, reader = _READERS[number]
        read[name] = reader(value)
    return Options(**read)


def data(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("a byte string was expected")
    return value


def text(value: object) -> str:
    """A text that travels as bytes, as most do here."""
    if isinstance(value, str):
        return value
    try:
        return data(value).decode()
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None


def whole(value: object) -> int:
    if type(value) is not int:
        raise Malformed("a whole number was expected")
    return value


def flag(value: object) -> bool:
    if value not in (0, 1):  # a boolean or a number, as the client likes
        raise Malformed("a truth value was expected")
    return bool(value)


_Kind = TypeVar("_Kind")


def array(value: object, of: Callable[[Any], _Kind]) -> list[_Kind]:
    if not isinstance(value, list):
        raise Malformed("an array was expected")
    return [of(element) for element in value]


def _one_of(names: Mapping[int, str]) -> Callable[[object], str]:
    def named(value: object) -> str:
        name = names.get(whole(value))
        if name is None:
            raise Malformed(f"{value!r} is none of {sorted(names)}")
        return name

    return named


# The client has already put the names and values of expressions into their trees.
_IGNORED: Final = frozenset({1, 5})
_READERS: Final[Mapping[int, tuple[str, Callable[[Any], object]]]] = {
    0: ("projection", data),
    2: ("consistent", flag),
    3: ("capacity", _one_of(_CAPACITY)),
    4: ("condition", data),
    6: ("metrics", _one_of(_METRICS)),
    7: ("return_values", _one_of(_RETURN)),
    8: ("update", data),
    9: ("start_key", data),
    10: ("filter", data),
    11: ("index", text),
    13: ("limit", whole),
    14: ("forward", flag),
    15: ("select", _one_of(_SELECT)),
    16: ("segment", whole),
    17: ("total_segments", whole),
    19: ("token", text),
}

"""The methods that are not about data: what the client must know to ask for data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dax.errors import Refusal
from dax.node import Node
from dax.wire import answers, cbor, keys, methods

LEADER: Final = 1
NODE_ID: Final = 1
NAMES_MAX: Final = 100_000


async def define_key_schema(node: Node, arguments: Sequence[Any]) -> bytes:
    schema: keys.Schema = await node.schemas.of(methods.text(arguments[0]))
    return answers.key_schema(schema)


async def define_attribute_list_id(node: Node, arguments: Sequence[Any]) -> bytes:
    names = methods.array(arguments[0], methods.text)
    if len(names) > NAMES_MAX:
        raise Refusal.invalid(f"an item has at most {NAMES_MAX} attributes")
    return answers.SUCCESS + answers.number(node.lists.number(names))


async def define_attribute_list(node: Node, arguments: Sequence[Any]) -> bytes:
    names = node.lists.names(methods.whole(arguments[0]))
    out = bytearray(answers.SUCCESS)
    cbor.head(out, cbor.ARRAY, len(names))
    for name in names:
        cbor.text(out, name)
    return bytes(out)


def endpoints(address: bytes, port: int) -> bytes:
    """A cluster of one node, which is here. `address`: 4 or 16 bytes, of the family the client uses."""
    out = bytearray(answers.SUCCESS)
    cbor.head(out, cbor.ARRAY, 1)
    cbor.head(out, cbor.MAP, 7)
    cbor.integer(out, 0)
    cbor.integer(out, NODE_ID)
    cbor.integer(out, 1)
    cbor.text(out, "node")
    cbor.integer(out, 2)
    cbor.data(out, address)
    for number, value in ((3, port), (4, LEADER)):
        cbor.integer(out, number)
        cbor.integer(out, value)
    cbor.integer(out, 5)
    cbor.text(out, "local")
    cbor.integer(out, 6)
    cbor.integer(out, NODE_ID)
    return bytes(out)

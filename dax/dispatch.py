"""From a method and its arguments to an answer, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from dax.errors import Malformed, Refusal, Unreachable
from dax.node import Node
from dax.operations import control, get, search, transact, write
from dax.wire import answers

Operation = Callable[[Node, Sequence[Any]], Awaitable[bytes]]

OPERATIONS: Final[Mapping[str, Operation]] = {
    "defineKeySchema": control.define_key_schema,
    "defineAttributeListId": control.define_attribute_list_id,
    "defineAttributeList": control.define_attribute_list,
    "GetItem": get.get_item,
    "BatchGetItem": get.batch_get_item,
    "PutItem": write.put_item,
    "UpdateItem": write.update_item,
    "DeleteItem": write.delete_item,
    "BatchWriteItem": write.batch_write_item,
    "Query": search.query,
    "Scan": search.scan,
    "TransactGetItems": transact.transact_get_items,
    "TransactWriteItems": transact.transact_write_items,
}

# The Python client changes the parameters of this one as it sends them: when it sends them again, it refuses
# them itself, and what was wrong is lost.
_ONCE: Final = frozenset({"BatchWriteItem"})

_log = structlog.get_logger()


async def answer(node: Node, method: str, arguments: Sequence[Any]) -> bytes:
    """The bytes to send; an error is an answer too."""
    started = time.perf_counter()
    try:
        return await OPERATIONS[method](node, arguments)
    except (Refusal, Unreachable, Malformed) as error:
        return failed(node, method, error)
    except Exception as error:  # noqa: BLE001 - one request must not end the others; it is logged in full
        _log.exception("request failed", operation=method)
        return failed(node, method, Unreachable(f"the node failed in {method}: {type(error).__name__}"))
    finally:
        node.stats.request(method).observe(time.perf_counter() - started)


def failed(node: Node, method: str, error: Refusal | Unreachable | Malformed) -> bytes:
    """The answer for an error, which is counted."""
    code = error.code if isinstance(error, Refusal) else type(error).__name__
    node.stats.errors[method, code] += 1
    if isinstance(error, Unreachable):
        _log.warning("no outcome", operation=method, detail=str(error))
    return answers.error(error, node.reason_item, repeatable=method not in _ONCE)

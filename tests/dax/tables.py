"""Tables of every kind of key."""

from __future__ import annotations

import uuid
from typing import Any, Final

KEYS: Final = {
    "s": (("pk", "S"),),
    "n": (("pk", "N"),),
    "b": (("pk", "B"),),
    "ss": (("pk", "S"), ("sk", "S")),
    "sn": (("pk", "S"), ("sk", "N")),
    "nb": (("pk", "N"), ("sk", "B")),
    "bn": (("pk", "B"), ("sk", "N")),
}
ROLES: Final = ("HASH", "RANGE")


def make(client: Any, kind: str) -> str:
    """The name of a new table; `ss` has the indexes `by_colour` (global) and `by_size` (local)."""
    name = f"dax-{kind}-{uuid.uuid4().hex[:10]}"
    keys = KEYS[kind]
    asked: dict[str, Any] = {
        "TableName": name,
        "KeySchema": [{"AttributeName": k, "KeyType": r} for (k, _), r in zip(keys, ROLES, strict=False)],
        "AttributeDefinitions": [{"AttributeName": k, "AttributeType": t} for k, t in keys],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if kind == "ss":
        asked["AttributeDefinitions"] += [
            {"AttributeName": "colour", "AttributeType": "S"},
            {"AttributeName": "size", "AttributeType": "N"},
        ]
        asked["GlobalSecondaryIndexes"] = [_index("by_colour", ("colour", "sk"), "ALL")]
        asked["LocalSecondaryIndexes"] = [_index("by_size", ("pk", "size"), "KEYS_ONLY")]
    client.create_table(**asked)
    return name


def _index(name: str, keys: tuple[str, str], projection: str) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": k, "KeyType": r} for k, r in zip(keys, ROLES, strict=True)],
        "Projection": {"ProjectionType": projection},
    }

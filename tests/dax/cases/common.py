"""What the cases share."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from tests.dax.sides import Side

Case = Callable[[Side], Any]
ALL: list[Case] = []

EVERY_TYPE: dict[str, Any] = {
    "a_text": {"S": "ä€𝄞"},
    "a_empty": {"S": ""},
    "a_number": {"N": "-12.75"},
    "a_data": {"B": bytes(range(256))},
    "a_no_data": {"B": b""},
    "a_yes": {"BOOL": True},
    "a_no": {"BOOL": False},
    "a_nothing": {"NULL": True},
    "a_list": {"L": [{"N": "1"}, {"L": []}, {"M": {}}, {"S": "x"}, {"M": {"deep": {"L": [{"B": b"1"}]}}}]},
    "a_map": {"M": {"ä": {"N": "0"}, "b": {"M": {"c": {"SS": ["x"]}}}, "l": {"L": [{"S": "0"}, {"S": "1"}]}}},
    "a_texts": {"SS": ["b", "a", "ä"]},
    "a_numbers": {"NS": ["1", "-2.5", "1E+20"]},
    "a_datas": {"BS": [b"\x00", b"\xff"]},
    "with space.and-dot": {"S": "name"},
}


def case(function: Case) -> Case:
    ALL.append(function)
    return function


def key(pk: str, sk: str = "k") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


class _Names:
    """The same hash keys on both sides, others in every case."""

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex[:8]

    def __call__(self, name: str) -> str:
        return f"{self.run}-{name}"


pk = _Names()


def placed(do: Side, name: str, **attributes: Any) -> dict[str, Any]:
    """Put an item with every type and these attributes; its key."""
    where = key(pk(name))
    do("put_item", TableName=do["ss"], Item=where | EVERY_TYPE | attributes)
    return where


def shelf(do: Side, name: str) -> str:
    """Ten items under one hash key; that key."""
    where = pk(name)
    for n in range(10):
        item = key(where, f"{n:02d}") | {"size": {"N": str(n)}, "colour": {"S": f"{where}-{n % 2}"}}
        do(
            "put_item",
            TableName=do["ss"],
            Item=item | {"even": {"BOOL": n % 2 == 0}, "l": {"L": [{"N": str(n)}]}},
        )
    return where

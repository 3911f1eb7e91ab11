"""What the real client gets through the node is what boto3 gets from DynamoDB, errors included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.dax import cases
from tests.dax.sides import Side


@pytest.mark.parametrize("case", cases.ALL, ids=lambda case: case.__name__)
def test_as_dynamodb(case: Callable[[Side], Any], sides: tuple[Side, Side]) -> None:
    direct, through = sides
    case(direct)
    case(through)
    assert direct.outcomes
    for expected, found in zip(direct.outcomes, through.outcomes, strict=True):
        assert found == expected

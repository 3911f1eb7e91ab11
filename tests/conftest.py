"""The one stack of a test session: parts start when a test first asks for them, and stop at the end.

It lies in a folder of its own on ports of its own, so it never meets the stack of the working copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.supervise import python_path
from tests.stack import TestStack


def pytest_configure() -> None:
    """Programs that tests start find the packages as well as the tests do, however these were started."""
    os.environ["PYTHONPATH"] = os.pathsep.join(python_path())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests first: they say what is wrong before anything has to start. Last those that break things."""

    def place(item: pytest.Item) -> tuple[bool, bool]:
        needs_stack = bool({"stack_parts", "stack"} & set(getattr(item, "fixturenames", ())))
        return item.get_closest_marker("faults") is not None, needs_stack

    items.sort(key=place)


@pytest.fixture(scope="session")
def stack_parts() -> Iterator[TestStack]:
    """A stack with nothing running yet: `stack_parts.need("kafka", "dynamodb")` starts parts."""
    folder = Path(tempfile.mkdtemp(prefix="recount-test-"))
    stack = TestStack(folder)
    try:
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(stack_parts: TestStack) -> str:
    """The address of a running Kafka."""
    stack_parts.need("kafka")
    return stack_parts.settings.kafka


@pytest.fixture(scope="session")
def dynamodb(stack_parts: TestStack) -> str:
    """The address of a running DynamoDB Local."""
    stack_parts.need("dynamodb")
    return stack_parts.settings.dynamodb


@pytest.fixture(scope="session")
def cloudwatch(stack_parts: TestStack) -> str:
    """The address of a running CloudWatch."""
    stack_parts.need("cloudwatch")
    return stack_parts.settings.cloudwatch


@pytest.fixture(scope="session")
def stack(stack_parts: TestStack) -> TestStack:
    """The whole stack, every part healthy, topics and tables and the site `demo` made."""
    stack_parts.need_all()
    return stack_parts

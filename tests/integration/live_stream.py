"""What a dashboard streams to its watchers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import orjson


def states(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    """The live states of a stream of server-sent events."""
    kind = ""
    for line in stream.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        if line.startswith("data: ") and kind == "live":
            yield orjson.loads(line.removeprefix("data: "))

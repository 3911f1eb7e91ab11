"""Made events for tests: complete, and different only where a test says so."""

from __future__ import annotations

from typing import Any, Final

from recount.event import RawEvent, encode

TS: Final = 1_790_002_800_000  # 2026-09-21T15:00 UTC


def event(**given: Any) -> RawEvent:
    """A pageview on `demo`; any field can be given, also a wrong one."""
    fields: dict[str, Any] = {
        **{"v": 1, "id": "e1", "spool": "s", "seq": 7, "site": "demo", "ts": TS, "received": TS + 5},
        **{"kind": "pageview", "visitor": "00ff00ff00ff00ff", "source_kind": "tracker"},
    }
    return RawEvent(**fields | given)


def value(**given: Any) -> bytes:
    """The same as a Kafka value."""
    return encode(event(**given))

"""The live part of the demonstration unfolds in real time."""

from __future__ import annotations

from cli.demo import LiveFeed
from cli.demo_traffic import Traffic

NOW = 1_790_000_000_000


def test_events_come_when_their_moment_does_and_never_twice() -> None:
    feed = LiveFeed("demo", Traffic("demo.example", 3), rate=50.0)
    seen: set[str] = set()
    assert feed.due(NOW) == []
    for second in range(1, 61):
        now = NOW + second * 1000
        events = feed.due(now)
        assert all(now - 1000 < event["ts"] <= now for event in events)
        ids = {event["id"] for event in events}
        assert not ids & seen
        seen |= ids
    assert 0.5 * 50 * 60 < len(seen) < 1.5 * 50 * 60


def test_every_event_names_its_site() -> None:
    feed = LiveFeed("shop", Traffic("shop.example", 3), rate=50.0)
    feed.due(NOW)
    assert {event["site"] for event in feed.due(NOW + 5000)} == {"shop"}

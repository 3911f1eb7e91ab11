"""Demo traffic is believable enough to fill every panel, and repeatable."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import iptocc

from cli.demo_traffic import HOUR_MS, Traffic

START = 1_790_000_000_000


def events(visits: int = 600, seed: int = 7) -> list[dict[str, object]]:
    return list(chain.from_iterable(Traffic("demo.example", seed).day(START, visits)))


def test_the_same_seed_gives_the_same_events() -> None:
    assert events(50) == events(50) != events(50, seed=8)


def test_ids_are_unique_and_visits_stay_in_order() -> None:
    made = events()
    assert len({event["id"] for event in made}) == len(made)
    for visit in Traffic("demo.example", 1).day(START, 100):
        times = [event["ts"] for event in visit]
        assert times == sorted(times)
        assert START <= times[0] < START + 24 * HOUR_MS


def test_every_panel_gets_something() -> None:
    made = events()
    assert set(Counter(e["kind"] for e in made)) == {"pageview", "event", "engagement"}
    assert {e.get("name") for e in made} >= {"Signup", "Purchase", "download", "outbound"}
    assert len({e["ua"] for e in made}) > 10
    assert any("utm_campaign" in str(e["url"]) for e in made)
    assert any("Googlebot" in str(e["ua"]) for e in made)
    assert any("revenue" in e for e in made)


def test_addresses_are_of_many_countries() -> None:
    countries = Counter(iptocc.country_code(str(e["ip"])) for e in events())
    assert {"US", "DE", "GB", "FR", "JP"} <= set(countries)
    assert countries[None] == 0

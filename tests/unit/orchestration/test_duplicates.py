"""Each id once an hour: the first one received wins, over the hour and the minutes next door."""

from __future__ import annotations

import polars as pl
import pytest

from orchestration.steps import hour_events
from orchestration.steps.duplicates import drop_duplicates
from orchestration.steps.hour_events import MARGIN, HourEvents
from recount.columns import decode, positions
from recount.periods import HOUR_MS
from tests.unit.orchestration.world import START, World, hour


def frame(*values: bytes) -> pl.DataFrame:
    return decode(values, positions("events", 0, range(len(values)))).events


def margin(name: str, *values: bytes) -> pl.DataFrame:
    return frame(*values).select(*MARGIN, pl.lit(name).alias("hour"))


def dropped(world: World, values: list[bytes], margins: pl.DataFrame) -> tuple[list[int], list[str]]:
    """The offsets that stay, and the hours of events next door that were beaten."""
    events = HourEvents(hour(0), 2, world.place.settings.state)
    events.add(frame(*values))
    events.flush()
    beaten = drop_duplicates(events, margins)
    kept = pl.concat([events.slot(slot) for slot in range(events.slots)])
    assert events.kept.total() == kept.height
    return sorted(kept["offset"].to_list()), beaten["hour"].to_list()


NOTHING = margin(hour(1))


def test_the_first_to_be_received_wins(world: World) -> None:
    late = world.event(0, id="a", received=START + 9)
    first = world.event(5, id="a", received=START + 8)
    assert dropped(world, [late, first, world.event(7, id="b")], NOTHING) == ([1, 2], [])


def test_received_at_the_same_moment_spool_and_number_decide(world: World) -> None:
    values = [
        world.event(0, id="a", received=START, spool=spool, seq=seq)
        for spool, seq in [("y", 1), ("x", 2), ("x", 1)]
    ]
    assert dropped(world, values, NOTHING) == ([2], [])


def test_one_spooled_event_in_two_places_is_kept_once(world: World) -> None:
    value = world.event(0, id="a")
    assert dropped(world, [value, value], NOTHING) == ([0], [])


def test_the_same_id_on_two_sites_is_two_events(world: World) -> None:
    values = [world.event(0, id="a"), world.event(0, id="a", site="other")]
    assert dropped(world, values, NOTHING) == ([0, 1], [])


def test_one_hash_for_all_is_no_reason_to_drop_any(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.steps.duplicates.identity_hash", lambda: pl.lit(7, pl.UInt64))
    monkeypatch.setattr(hour_events, "identity_hash", lambda: pl.col("seq").cast(pl.UInt64) * 0 + 7)
    values = [world.event(n, id=name) for n, name in enumerate(["a", "b", "a", "c"])]
    assert dropped(world, values, margin(hour(1), world.event(HOUR_MS, id="d"))) == ([0, 1, 3], [])


def test_an_event_that_was_first_received_next_door_goes(world: World) -> None:
    beside = margin(hour(-1), world.event(-5, id="a", received=START - 5))
    assert dropped(world, [world.event(1, id="a")], beside) == ([], [])


def test_an_event_that_beats_one_next_door_stays_and_names_it(world: World) -> None:
    beside = margin(hour(1), world.event(HOUR_MS, id="a", received=START + HOUR_MS + 50))
    assert dropped(world, [world.event(HOUR_MS - 9, id="a")], beside) == ([0], [hour(1)])

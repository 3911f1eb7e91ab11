"""An hour's events in bounded memory: the same slots from memory and from disk, each event in one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from orchestration.steps import hour_events, spill, texts
from orchestration.steps.hour_events import MARGIN, HourEvents
from orchestration.steps.texts import joined, plain
from recount.keys import event_slots
from recount.periods import HOUR_MS, MINUTE_MS, hour_start_ms
from tests.bench import generate

SLOTS = 3
HOUR = generate.HOUR
ORDER = ["topic", "partition", "offset"]


def gathered(
    folder: Path, events: pl.DataFrame, *, portion: int = 70, whole_max: int | None = None
) -> HourEvents:
    found = HourEvents(HOUR, SLOTS, folder, whole_max=whole_max)
    for part in events.iter_slices(portion):
        found.add(part)
    found.flush()
    return found


@pytest.fixture
def events() -> pl.DataFrame:
    return generate.events(1_000, sites=7)


@pytest.fixture(
    params=[
        "in memory",
        "in memory, texts as they are",
        "on disk",
        "on disk later",
        "on disk, texts as they are",
    ]
)
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(hour_events, "CHUNK_EVENTS", 200)
    held = 500 if request.param == "on disk later" else 10_000 * request.param.startswith("in memory")
    monkeypatch.setattr(spill, "HELD_MAX_EVENTS", held)
    if request.param.endswith("texts as they are"):
        monkeypatch.setattr(texts, "TEXTS_MAX", 4)
    return str(request.param)


@pytest.mark.parametrize("slot_events", [10_000, 100, 1])
def test_every_slot_holds_its_events(
    tmp_path: Path, events: pl.DataFrame, kept: str, slot_events: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hour_events, "SLOT_EVENTS", slot_events)
    found = gathered(tmp_path, events)
    assert found.slots == {10_000: SLOTS, 100: SLOTS * 4, 1: SLOTS * 64}[slot_events]
    slots = event_slots(events, found.slots)
    for slot in range(found.slots):
        assert_frame_equal(plain(found.slot(slot)).sort(ORDER), events.filter(slots == slot).sort(ORDER))


def test_rows_are_found_by_their_hash(tmp_path: Path, events: pl.DataFrame, kept: str) -> None:
    found = gathered(tmp_path, events)
    wanted = np.unique(found.identities[[3, 500, 999]])
    (rows,) = found.having(found.identities, wanted, MARGIN)
    assert rows["row"].to_list() == [3, 500, 999]
    found.settle(rows)
    left = plain(joined([found.slot(slot) for slot in range(found.slots)]))
    assert_frame_equal(left.sort(ORDER), events.join(rows, on=ORDER, how="anti").sort(ORDER))
    assert found.kept == dict(left.group_by("site").len().iter_rows())


def test_what_lies_near_an_end_of_the_hour(tmp_path: Path, events: pl.DataFrame) -> None:
    found, start = gathered(tmp_path, events), hour_start_ms(HOUR)
    early, late = start + 10 * MINUTE_MS, start + HOUR_MS - 10 * MINUTE_MS
    for part, chosen in ((found.head, pl.col("ts") < early), (found.tail, pl.col("ts") >= late)):
        assert_frame_equal(part.sort(ORDER), events.filter(chosen).select(MARGIN).sort(ORDER))
    assert found.newest_ms == events["ts"].max()


def test_of_a_large_neighbour_only_what_concerns_the_hour_is_kept(
    tmp_path: Path, events: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hour_events, "CHUNK_EVENTS", 200)
    small, large = gathered(tmp_path, events, whole_max=1_000), gathered(tmp_path, events, whole_max=999)
    assert (small.is_whole, large.is_whole) == (True, False)
    assert_frame_equal(large.tail, small.tail)
    with pytest.raises(AssertionError):
        large.slot(0)


def test_texts_of_a_neighbour_are_numbered_no_longer_than_its_events_are_kept(
    tmp_path: Path, events: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hour_events, "CHUNK_EVENTS", 200)
    numbered = []
    coded = texts.Texts.coded

    def told(self: texts.Texts, part: pl.DataFrame) -> pl.DataFrame:
        numbered.append(part.height)
        return coded(self, part)

    monkeypatch.setattr(texts.Texts, "coded", told)
    found = gathered(tmp_path, events, portion=200, whole_max=500)
    assert (found.rows, numbered) == (1_000, [200, 200])


def test_an_hour_without_events(tmp_path: Path) -> None:
    found = gathered(tmp_path, generate.events(1)[:0])
    assert (found.rows, found.slots, found.head.height) == (0, SLOTS, 0)
    assert [found.slot(slot).height for slot in range(SLOTS)] == [0] * SLOTS


def test_nothing_stays_on_disk(tmp_path: Path, events: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "HELD_MAX_EVENTS", 0)
    gathered(tmp_path, events)
    assert list(tmp_path.iterdir()) == []

from __future__ import annotations

import time
from pathlib import Path

import pytest

from recount.counting.rollup import Rollup, empty
from recount.ids import made_ms_of, new_id
from recount.periods import HOUR_MS
from recount.publishing.collect import RUN_MAX_MS, Collector
from recount.store.archive import ArchiveInfo, CarrySource
from recount.store.manifests import Publication
from recount.store.provenance import ArchiveSource
from tests.contract import tables
from tests.publishing import MONTH_MS, Press, total
from tests.rollups import hour_rollup

DAY = "2026-10-31"
HOUR, NEXT = f"{DAY}T03", f"{DAY}T04"
WEEK_MS = 8 * 24 * HOUR_MS


@pytest.fixture(params=tables.KINDS)
def press(request: pytest.FixtureRequest, tmp_path: Path) -> Press:
    return Press(tmp_path, tables.make(request), tables.make(request))


def of(views: int, *sites: str) -> Rollup:
    return hour_rollup(HOUR, sites or ("utc", "berlin"), views, views)


def collector(press: Press) -> Collector:
    return Collector(press.manifests, press.segments, press.candidates, press.archive, press.reprocessings)


def later(ms: int = WEEK_MS) -> int:
    return time.time_ns() // 1_000_000 + MONTH_MS + ms


def items(press: Press) -> set[tuple[str, str]]:
    return {(item["pk"], item["sk"]) for item in press.rollups.scan()}


def test_what_a_root_of_the_last_days_shows_stays(press: Press) -> None:
    press.publish({HOUR: of(6)})
    publication = press.publish({HOUR: of(8)})
    before = items(press)
    found = collector(press).collect(later(6 * 24 * HOUR_MS))
    assert (found.garbage.rollups, found.table_items) == ([], 0)
    assert items(press) == before
    assert isinstance(press.undo(publication), Publication), "so it can be undone"
    assert press.faults() == []


def test_what_nothing_shows_any_more_goes_with_all_its_items(press: Press) -> None:
    press.publish({HOUR: of(6)})
    old = {key: set(g.values()) for key, g in press.generations(f"hour/{HOUR}", f"day/{DAY}").items()}
    press.publish({HOUR: of(8)})
    press.clock_ms = later(10 * 24 * HOUR_MS)
    press.publish({HOUR: of(9)})
    seen = collector(press).look(press.clock_ms + WEEK_MS)
    found = collector(press).collect(press.clock_ms + WEEK_MS)
    assert found.garbage == seen
    assert seen.data_bytes > 0
    gone = {generation for _, _, generation in seen.rollups}
    assert gone >= {g for generations in old.values() for g in generations}
    assert not [key for key in items(press) if key[1].split("#")[0] in gone]
    assert not [i for i in press.roots.scan() if i["pk"].startswith("generation#") and i["sk"][:36] in gone]
    assert total(press.shown("utc", f"hour/{HOUR}")) == 9
    assert total(press.shown("utc", f"day/{DAY}")) == 9
    assert press.faults() == []
    press.publish({NEXT: hour_rollup(NEXT, ["utc"], 1, 1)})
    assert total(press.shown("utc", f"day/{DAY}")) == 10, "days are still made from the hours that stay"
    again = collector(press).collect(press.clock_ms + WEEK_MS)
    assert again.garbage.rollups == []


def test_rows_that_a_site_kept_from_an_older_generation_stay(press: Press) -> None:
    press.publish({HOUR: of(6)})
    for views in (7, 8):
        press.clock_ms = later(views * 24 * HOUR_MS)
        made = press.candidate(HOUR, of(views, "utc"), only=["utc"])
        press.publisher.publish([made], "some sites")
    collector(press).collect(press.clock_ms + WEEK_MS)
    assert total(press.shown("berlin", f"hour/{HOUR}")) == 6
    assert total(press.shown("utc", f"hour/{HOUR}")) == 8
    press.publish({NEXT: hour_rollup(NEXT, ["berlin"], 1, 1)})
    assert total(press.shown("berlin", f"day/{DAY}")) == 7


def test_an_open_reprocessing_keeps_its_candidates_and_their_base(press: Press) -> None:
    press.publish({HOUR: of(6)})
    press.reprocess("open", {HOUR: of(8)})
    press.reprocess("given up", {HOUR: of(9)})
    press.reprocessings.change(press.reprocessings.get("given up"), state="discarded")
    dropped = press.reprocessings.hours("given up")[HOUR].generation
    found = collector(press).collect(later(30 * 24 * HOUR_MS))
    assert found.garbage.rollups == [("hour", HOUR, dropped)]
    press.corrections.publish("open")
    assert total(press.shown("utc", f"hour/{HOUR}")) == 8


def test_what_a_run_may_still_be_working_on_stays(press: Press) -> None:
    press.publish({HOUR: of(6)})
    press.candidate(HOUR, of(8))
    assert collector(press).look(later(RUN_MAX_MS - HOUR_MS - MONTH_MS)).rollups == []
    assert len(collector(press).look(later(RUN_MAX_MS + HOUR_MS - MONTH_MS)).rollups) == 1


def test_what_a_dead_run_left_half_written_goes(press: Press) -> None:
    press.publish({HOUR: of(6)})
    generation = new_id()
    folder = press.folder / f"rollups/hour={HOUR}/generation={generation}"
    folder.mkdir()
    (folder / "rows.parquet").write_bytes(b"half")
    found = collector(press).collect(later())
    assert found.garbage.rollups == [("hour", HOUR, generation)]
    assert not folder.exists()


def test_manifests_that_no_kept_root_names_go(press: Press) -> None:
    for views in range(4):
        press.clock_ms = later((views + 1) * 24 * HOUR_MS)
        press.publish({HOUR: of(6 + views)})
    found = collector(press).collect(press.clock_ms + WEEK_MS)
    assert len(found.garbage.manifests) == 3
    root = press.manifests.current()
    assert root is not None
    assert press.manifests.names("2026-10") == [root.months["2026-10"]]


def archived(press: Press, hour: str, previous: str = "") -> str:
    time.sleep(0.002)  # ids are in the order of time to the millisecond
    generation = new_id()
    source = CarrySource(hour=HOUR, generation=previous, digest="") if previous else None
    info = ArchiveInfo(hour=hour, generation=generation, made_ms=1, cut={}, slots={}, previous=source)
    press.archive.seal(hour, generation, info)
    return generation


def test_archives_that_numbers_come_from_and_the_newest_stay(press: Press) -> None:
    shown, carried, forgotten, newest = (archived(press, HOUR) for _ in range(4))
    source = ArchiveSource(hour=HOUR, generation=shown, cut={})
    press.publisher.publish([press.candidate(HOUR, of(6), archive=source)], "test")
    archived(press, NEXT, previous=carried)
    found = collector(press).collect(later())
    assert found.garbage.archives == [(HOUR, forgotten)]
    assert press.archive.generations(HOUR) == sorted([shown, carried, newest])


def test_a_draft_stays_while_its_reprocessing_is_open(press: Press) -> None:
    archived(press, HOUR)
    press.publish({HOUR: empty()})
    press.reprocess("open", {HOUR: of(8)})
    press.archive._draft = "open"
    draft = archived(press, HOUR)
    press.archive._draft = ""
    assert collector(press).look(later()).archives == []
    press.reprocessings.change(press.reprocessings.get("open"), state="discarded")
    assert collector(press).look(later()).archives == [(HOUR, draft)]


def test_ids_know_when_they_were_made() -> None:
    now = time.time_ns() // 1_000_000
    assert abs((made_ms_of(new_id()) or 0) - now) < 60_000
    assert made_ms_of("g1") is None
    assert made_ms_of("9e107d9d-372b-46b6-8db1-000000000000") is None

from __future__ import annotations

from pathlib import Path

import pytest

from recount.counting.rollup import Rollup, merge
from recount.errors import InvalidInput
from recount.keys import site_slot
from recount.periods import hour_start_ms
from recount.publishing import history
from recount.publishing.reprocessing import BaseChanged
from recount.store.manifests import Publication
from recount.store.reprocessings import Reprocessing
from tests.contract import tables
from tests.publishing import SITES, SLOTS, Press, total
from tests.rollups import hour_rollup

ALL = tuple(SITES)
DAY = "2026-10-31"
THREE, SEVEN, NINE = (f"{DAY}T{hour:02d}" for hour in (3, 7, 9))
AFTER, MONTH = "2026-11-02", "month/2026-10"
PERIODS = (f"hour/{THREE}", f"hour/{SEVEN}", f"day/{DAY}", MONTH)


@pytest.fixture(params=tables.KINDS)
def press(request: pytest.FixtureRequest, tmp_path: Path) -> Press:
    return Press(tmp_path, tables.make(request), tables.make(request))


def of(hour: str, views: int = 6, *sites: str) -> Rollup:
    names = sites or ALL
    whole, quarters = [s for s in names if s != "kolkata"], [s for s in names if s == "kolkata"]
    return merge(
        [hour_rollup(hour, whole, views, views), hour_rollup(hour, quarters, views, views, bucket_ms=900_000)]
    )


def views(press: Press, key: str, site: str = "utc") -> int:
    return total(press.shown(site, key))


def test_hours_published_by_two_runs_make_the_day_together(press: Press) -> None:
    press.publish({THREE: of(THREE)})
    press.publish({SEVEN: of(SEVEN)})
    press.reprocess("three", {THREE: of(THREE, 8)})
    press.reprocess("seven", {SEVEN: of(SEVEN, 9)})
    press.corrections.publish("three")
    press.corrections.publish("seven")
    for site in ("utc", "berlin", "kolkata"):
        assert views(press, f"day/{DAY}", site) == 17
    assert press.faults() == []


def test_the_second_of_two_that_overlap_is_refused_whole(press: Press) -> None:
    press.publish({THREE: of(THREE), SEVEN: of(SEVEN)})
    press.reprocess("first", {THREE: of(THREE, 8)})
    press.reprocess("second", {THREE: of(THREE, 9), SEVEN: of(SEVEN, 9)})
    press.corrections.publish("first")
    before = press.manifests.current()
    with pytest.raises(BaseChanged, match=f"{THREE}: published again for 'reprocessing first'") as caught:
        press.corrections.publish("second")
    assert [change.hour for change in caught.value.changes] == [THREE]
    assert press.manifests.current() == before


def test_a_rollback_shows_the_very_generations_that_were_shown(press: Press) -> None:
    press.publish({THREE: of(THREE), SEVEN: of(SEVEN)})
    before = press.generations(*PERIODS)
    press.reprocess("fix", {THREE: of(THREE, 8), SEVEN: of(SEVEN, 8)})
    publication = press.corrections.publish("fix")
    assert press.generations(*PERIODS) != before
    undone = press.undo(publication)
    assert isinstance(undone, Publication)
    assert undone.cause == f"rollback/{publication.id}"
    assert press.generations(*PERIODS) == before
    assert press.faults() == []
    assert views(press, f"day/{DAY}") == 12
    with pytest.raises(InvalidInput, match="is undone"):
        press.undo(publication)


def test_a_rollback_can_be_undone(press: Press) -> None:
    press.publish({THREE: of(THREE)})
    press.reprocess("fix", {THREE: of(THREE, 8)})
    publication = press.corrections.publish("fix")
    after = press.generations(*PERIODS)
    undone = press.undo(publication)
    assert isinstance(undone, Publication)
    assert isinstance(press.undo(undone), Publication)
    assert press.generations(*PERIODS) == after
    assert press.faults() == []


def test_a_month_made_since_is_made_again_without_what_is_undone(press: Press) -> None:
    press.clock_ms = hour_start_ms(f"{DAY}T12")
    press.publish({THREE: of(THREE)})
    publication = press.publish({SEVEN: of(SEVEN)})
    assert views(press, MONTH) == 0
    press.clock_ms = hour_start_ms(f"{AFTER}T12")
    press.publish({f"{AFTER}T09": of(f"{AFTER}T09")})
    assert views(press, MONTH) == views(press, f"day/{DAY}") == 12
    undone = press.undo(publication)
    assert isinstance(undone, Reprocessing)
    press.corrections.publish(undone.id)
    assert views(press, MONTH) == views(press, f"day/{DAY}") == 6
    assert press.faults() == []


def test_what_was_computed_before_a_rollback_is_refused_after_it(press: Press) -> None:
    press.publish({THREE: of(THREE)})
    press.reprocess("fix", {THREE: of(THREE, 8)})
    publication = press.corrections.publish("fix")
    press.reprocess("more", {THREE: of(THREE, 9)})
    press.undo(publication)
    with pytest.raises(BaseChanged, match=THREE):
        press.corrections.publish("more")


def test_a_rollback_of_what_was_touched_later_is_a_candidate_that_erases_nothing(press: Press) -> None:
    """`fix` changes all sites in two hours; a late event then changes `utc` in one of them."""
    press.publish({THREE: of(THREE), SEVEN: of(SEVEN)})
    press.reprocess("fix", {THREE: of(THREE, 8), SEVEN: of(SEVEN, 8)})
    publication = press.corrections.publish("fix")
    late = merge([of(THREE, 8, *(s for s in ALL if s != "utc")), of(THREE, 9, "utc")])
    press.publish({THREE: late}, "late event")
    before = press.manifests.current()
    request = press.undo(publication)
    assert isinstance(request, Reprocessing)
    assert press.manifests.current() == before, "nothing is published yet"
    assert (request.source, request.undoes) == ("rollback", publication.id)
    assert any(THREE in note and "utc" in note for note in request.notes)
    press.corrections.publish(request.id)
    assert views(press, f"hour/{THREE}", "utc") == 9, "the late event stays"
    assert views(press, f"hour/{THREE}", "berlin") == 6
    assert views(press, f"hour/{SEVEN}", "utc") == 6
    assert press.faults() == []
    assert views(press, f"day/{DAY}", "utc") == 15


def test_a_rollback_that_nothing_is_left_of_names_what_came_later(press: Press) -> None:
    press.publish({THREE: of(THREE, 6, "utc")})
    first = press.publish({THREE: of(THREE, 8, "utc")})
    second = press.publish({THREE: of(THREE, 9, "utc")})
    with pytest.raises(InvalidInput, match=second.id):
        press.undo(first)


def test_other_slots_of_the_same_day_do_not_stand_in_the_way(press: Press) -> None:
    one, other = next((a, b) for a in ALL for b in ALL if site_slot(a, SLOTS) != site_slot(b, SLOTS))
    both = (one, other)
    press.publish({THREE: of(THREE, 6, *both)})
    first = press.publish({THREE: merge([of(THREE, 8, one), of(THREE, 6, other)])})
    press.publish({THREE: merge([of(THREE, 8, one), of(THREE, 9, other)])})
    assert isinstance(press.undo(first), Publication)
    assert views(press, f"hour/{THREE}", one) == 6
    assert views(press, f"hour/{THREE}", other) == 9
    assert press.faults() == []


def test_the_first_publication_of_an_hour_is_undone_to_nothing(press: Press) -> None:
    press.publish({THREE: of(THREE)})
    publication = press.publish({SEVEN: of(SEVEN)})
    assert isinstance(press.undo(publication), Publication)
    assert press.shown("utc", f"hour/{SEVEN}") is None
    assert views(press, f"day/{DAY}") == 6
    assert press.faults() == []


def test_what_moved_nothing_or_is_unknown_is_refused(press: Press) -> None:
    press.publish({THREE: of(THREE)})
    kept = press.publish({THREE: of(THREE)})
    with pytest.raises(InvalidInput, match="changed no numbers"):
        press.undo(kept)
    with pytest.raises(InvalidInput, match="recount history"):
        press.rollbacks.undo("unknown", reason="r", by="b", now_ms=1)


def test_what_is_deleted_cannot_come_back(press: Press) -> None:
    press.publish({THREE: of(THREE)})
    generation = press.generations(f"hour/{THREE}")[f"hour/{THREE}"][site_slot("utc", SLOTS)]
    publication = press.publish({THREE: of(THREE, 8)})
    press.candidates.remove("hour", THREE, generation)
    with pytest.raises(InvalidInput, match="recount reprocess"):
        press.undo(publication)


def test_the_history_lists_every_move_newest_first(press: Press) -> None:
    first = press.publish({THREE: of(THREE)}, "one")
    press.reprocess("fix", {THREE: of(THREE, 8)})
    second = press.corrections.publish("fix")
    assert [p.id for p in history.past(press.manifests)] == [second.id, first.id]
    assert [p.cause for p in history.past(press.manifests, 1)] == ["reprocessing/fix"]
    assert history.find(press.manifests, first.id[:-1]) == first
    assert history.later_than(press.manifests, first.id) == [second]
    with pytest.raises(InvalidInput, match="may be one of"):
        history.find(press.manifests, first.id[:4])

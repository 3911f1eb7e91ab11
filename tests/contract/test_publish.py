from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recount.counting.rollup import Rollup, empty, merge
from recount.errors import Conflict, InvalidInput
from recount.keys import site_slot
from recount.periods import day_of, hour_start_ms, hours_between
from recount.publishing.publisher import HourCandidate
from recount.store.manifests import Manifests, Publication, Root
from tests.contract import tables
from tests.publishing import SITES, SLOTS, Press, of_dimension, total
from tests.rollups import hour_rollup

ALL = tuple(SITES)
NIGHT = [
    *hours_between(hour_start_ms("2026-10-30T20"), hour_start_ms("2026-10-31T02")),
    *hours_between(hour_start_ms("2026-10-31T20"), hour_start_ms("2026-11-01T02")),
]


@pytest.fixture(params=tables.KINDS)
def press(request: pytest.FixtureRequest, tmp_path: Path) -> Press:
    return Press(tmp_path, tables.make(request), tables.make(request))


def of(hour: str, *sites: str, seed: int = 0, views: int = 6) -> Rollup:
    """An hour of some sites; zones off the full hour have dimensions by quarter, as the fold gives them."""
    whole, quarters = [s for s in sites if s != "kolkata"], [s for s in sites if s == "kolkata"]
    return merge(
        [hour_rollup(hour, whole, seed, views), hour_rollup(hour, quarters, seed, views, bucket_ms=900_000)]
    )


def night(*sites: str) -> dict[str, Rollup]:
    return {hour: of(hour, *sites) for hour in NIGHT}


def test_hours_days_and_months_show_the_same_events(press: Press) -> None:
    made = night(*ALL)
    press.publish(made)
    assert press.faults() == []
    for site in ALL:
        published = of_dimension([*made.values()], site)["pageviews"].sum()
        assert sum(total(press.shown(site, f"hour/{hour}")) for hour in NIGHT) == published
        days = ("2026-10-30", "2026-10-31", "2026-11-01")
        assert sum(total(press.shown(site, f"day/{day}")) for day in days) == published
        assert (
            sum(total(press.shown(site, f"month/{month}")) for month in ("2026-10", "2026-11")) == published
        )


def test_a_day_counts_each_visitor_once_and_a_month_adds_days_up(press: Press) -> None:
    made = night(*ALL)
    press.publish(made)
    for site, visitors in (("utc", "sum"), ("berlin", "union")):
        by_day = []
        for day in ("2026-10-30", "2026-10-31"):
            hours = [made[hour] for hour in NIGHT if _day(hour, site) == day]
            united = merge([Rollup(of_dimension(hours, site), empty().revenue)], regroup=pl.lit(0))
            by_day.append(united.rows["visitors"].list.len().sum())
            assert total(press.shown(site, f"day/{day}"), "visitors") == by_day[-1]
        whole = [made[hour] for hour in NIGHT if _day(hour, site).startswith("2026-10")]
        union = of_dimension(whole, site)["visitors"].explode().n_unique()
        expected = sum(by_day) if visitors == "sum" else union
        assert total(press.shown(site, "month/2026-10"), "visitors") == expected


def _day(hour: str, site: str) -> str:
    return day_of(hour_start_ms(hour), SITES[site].timezone)


def test_publishing_hour_by_hour_gives_the_same_as_all_at_once(press: Press, tmp_path: Path) -> None:
    made = night("utc", "kolkata")
    for hour, rollup in made.items():
        press.publish({hour: rollup})
        assert press.faults() == []
    other = Press(tmp_path / "other")
    other.publish(made)
    for site in ("utc", "kolkata"):
        for key in ("day/2026-10-31", "day/2026-11-01", "month/2026-10", "month/2026-11"):
            one, many = other.shown(site, key), press.shown(site, key)
            assert one is not None
            assert many is not None
            assert one.rows.equals(many.rows)
            assert one.revenue.equals(many.revenue)


def test_output_equal_to_what_is_published_keeps_it(press: Press) -> None:
    hour = NIGHT[0]
    press.publish({hour: of(hour, *ALL)})
    before = press.manifests.entries(press.manifests.current(), [f"hour/{hour}", "day/2026-10-30"])
    publication = press.publish({hour: of(hour, *ALL)})
    after = press.manifests.entries(press.manifests.current(), [f"hour/{hour}", "day/2026-10-30"])
    assert publication.moved == {}
    assert publication.kept == [f"hour/{hour}"]
    assert after["day/2026-10-30"] == before["day/2026-10-30"]
    assert after[f"hour/{hour}"].generations() == before[f"hour/{hour}"].generations()
    assert after[f"hour/{hour}"].confirmed > before[f"hour/{hour}"].confirmed


def test_a_correction_touches_only_what_it_changes(press: Press) -> None:
    press.publish(night(*ALL))
    old = press.manifests.current()
    hour = NIGHT[5]
    corrected = merge([of(hour, *ALL), of(hour, "utc", seed=99, views=1)])
    publication = press.publish({hour: corrected}, "late events")
    slot = site_slot("utc", SLOTS)
    assert publication.sites[f"hour/{hour}"] == ["utc"]
    assert [list(m.after) for m in publication.moved.values()] == [[slot]] * len(publication.moved)
    assert set(publication.moved) == {f"hour/{hour}", "day/2026-10-31", "month/2026-10"}
    assert press.faults() == []
    entry = press.manifests.entries(old, [f"hour/{hour}"])[f"hour/{hour}"]
    generation = entry.generation(slot)
    assert generation is not None
    found = press.segments.get_many([("utc", f"hour/{hour}", generation)])[0]
    assert total(found) == 6  # type: ignore[arg-type]
    assert total(press.shown("utc", f"hour/{hour}")) == 7


def test_a_site_that_is_gone_from_an_hour_is_gone_from_its_day(press: Press) -> None:
    hour = NIGHT[0]
    press.publish({hour: of(hour, "utc", "berlin")})
    press.publish({hour: of(hour, "berlin")})
    assert press.shown("utc", f"hour/{hour}") is None
    assert press.shown("utc", "day/2026-10-30") is None
    assert press.shown("utc", "month/2026-10") is None
    assert total(press.shown("berlin", "day/2026-10-30")) == 6
    assert press.faults() == []


def test_an_hour_without_events_is_published(press: Press) -> None:
    hour = NIGHT[0]
    publication = press.publish({hour: empty()})
    assert publication.kept == [f"hour/{hour}"]
    entry = press.manifests.entries(press.manifests.current(), [f"hour/{hour}"])[f"hour/{hour}"]
    assert entry.generations() == {}


def test_a_candidate_whose_base_moved_is_refused_by_name(press: Press) -> None:
    hour = NIGHT[0]
    against_nothing = press.candidate(hour, of(hour, "utc", seed=1), base="")
    press.publish({hour: of(hour, "utc")})
    with pytest.raises(Conflict, match=hour):
        press.publisher.publish([against_nothing], "stale")
    older = HourCandidate(hour, against_nothing.generation)
    with pytest.raises(Conflict, match=hour):
        press.publisher.publish([older], "older than what is published")
    confirmed = press.manifests.entries(press.manifests.current(), [f"hour/{hour}"])[f"hour/{hour}"].confirmed
    fresh = press.candidate(hour, of(hour, "utc", seed=2), base=confirmed)
    assert press.publisher.publish([fresh], "fresh").moved


def test_publishing_again_moves_nothing(press: Press) -> None:
    hour = NIGHT[0]
    candidate = press.candidate(hour, of(hour, "utc"))
    first = press.publisher.publish([candidate], "once")
    assert press.publisher.publish([candidate], "twice").id == first.id
    assert len(list(press.manifests.history())) == 1


def test_what_does_not_exist_cannot_be_published(press: Press) -> None:
    with pytest.raises(InvalidInput, match="no candidate"):
        press.publisher.publish([HourCandidate(NIGHT[0], "never")], "test")
    with pytest.raises(InvalidInput):
        press.publisher.publish([], "test")


class Interrupted(Manifests):
    """Another publisher moves the pointer right before the first move."""

    def __init__(self, press: Press, hour: str) -> None:
        super().__init__(press.roots)
        self._press, self._hour, self.moves = press, hour, 0

    def move(self, expected: Root | None, new: Root, changed: object, publication: Publication) -> None:
        self.moves += 1
        if self.moves == 1:
            other = Press(self._press.folder, self._press.rollups, self._press.roots)
            other.publish({self._hour: of(self._hour, *ALL)})
        super().move(expected, new, changed, publication)  # type: ignore[arg-type]


def test_a_moved_pointer_means_starting_again_from_what_is_there(press: Press) -> None:
    first, second = NIGHT[4], NIGHT[5]
    press.publish({NIGHT[3]: of(NIGHT[3], *ALL)})
    rival = Press(press.folder, press.rollups, press.roots)
    manifests = Interrupted(rival, second)
    rival.publisher._manifests = manifests
    rival.publish({first: of(first, *ALL)})
    assert manifests.moves == 2
    assert press.faults() == []
    for site in ALL:
        assert sum(total(press.shown(site, f"hour/{h}")) for h in NIGHT[3:6]) == 18
        assert total(press.shown(site, "month/2026-10")) == 18


def test_an_open_hour_is_marked_until_it_is_replaced(press: Press) -> None:
    hour = NIGHT[0]
    until = hour_start_ms(hour) + 600_000
    running = press.candidate(hour, of(hour, "utc", views=2), open_until=until)
    press.publisher.publish([running], "open")
    entry = press.manifests.entries(press.manifests.current(), [f"hour/{hour}"])[f"hour/{hour}"]
    assert entry.open_until == until
    press.publish({hour: of(hour, "utc", views=9)})
    entry = press.manifests.entries(press.manifests.current(), [f"hour/{hour}"])[f"hour/{hour}"]
    assert entry.open_until is None
    assert total(press.shown("utc", "day/2026-10-30")) == 9


def test_values_beyond_the_top_are_folded_only_in_what_is_shown(press: Press, tmp_path: Path) -> None:
    small = Press(press.folder, press.rollups, press.roots, top_values=2)
    made = night("utc", "berlin")
    small.publish(made)
    for site in ("utc", "berlin"):
        month = small.shown(site, "month/2026-10")
        assert month is not None
        pages = month.rows.filter(pl.col("dimension") == "page")
        assert pages.height == 3
        assert "(other)" in pages["value"].to_list()
        assert pages["pageviews"].sum() == total(month)
        assert pages.filter(pl.col("value") == "(other)")["folded_max"][0] > 0


def test_provenance_names_archive_children_and_reason(press: Press) -> None:
    hour = NIGHT[0]
    press.publish({hour: of(hour, "utc")}, "because")
    entry = press.manifests.entries(press.manifests.current(), ["day/2026-10-30"])["day/2026-10-30"]
    found = press.manifests.provenance([("day/2026-10-30", entry.confirmed)])[
        "day/2026-10-30", entry.confirmed
    ]
    slot = site_slot("utc", SLOTS)
    hours = press.manifests.entries(press.manifests.current(), [f"hour/{hour}"])[f"hour/{hour}"]
    assert found.children == {slot: {f"hour/{hour}": hours.generation(slot)}}
    assert found.reason == "because"

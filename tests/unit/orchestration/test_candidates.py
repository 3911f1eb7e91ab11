"""Candidates of a reprocessing: made, kept after a crash, published if nothing moved under them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestration.steps.candidate_range import Folded, archive_share, fold_share, share_of
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import Candidate
from recount.errors import Incomplete, InvalidInput
from recount.periods import HOUR_MS, MINUTE_MS, hour_ranges
from recount.publishing.reprocessing import BaseChanged
from recount.store.catalog import Goal, Site
from recount.store.manifests import Publication
from recount.store.reprocessings import Reprocessing, Source
from tests.unit.orchestration.world import LIVE, MONTH_OVER, World, hour

MINUTE = MINUTE_MS


def request(
    *hours: str, source: Source = "archive", name: str = "fix", sites: tuple[str, ...] = ()
) -> Reprocessing:
    return Reprocessing(
        id=name,
        spans=hour_ranges(hours),
        source=source,
        sites=list(sites),
        reason="goal added",
        requested_by="someone",
        requested_ms=1,
    )


def reprocess(world: World, *hours: str, run: str = "again", **given: object) -> Folded:
    asked = request(*hours, **given)  # type: ignore[arg-type]
    share = share_of(world.place, asked, run)
    archive_share(share, hours)
    return fold_share(share, hours)


def publish(world: World, name: str = "fix") -> Publication:
    return world.place.corrections.publish(name, "publisher")


def add_goal(world: World, site: str = "demo") -> None:
    """A rule that gives every hour of the site other rows."""
    known = world.place.catalog.get(site)
    assert known is not None
    goals = (*known.goals, Goal(name=f"goal {len(known.goals)}", page="/*"))
    world.place.catalog.update(replace(known, goals=goals, rules_version=known.rules_version + 1))


def three_hours(world: World, *sites: str) -> list[str]:
    for site in sites or ("demo",):
        world.deliver([world.event(t * MINUTE, visitor=t % 5, site=site) for t in range(0, 180, 4)])
    hours = [hour(n) for n in range(3)]
    world.publish(*hours)
    return hours


def test_candidates_are_made_beside_what_is_published(world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    before = world.place.manifests.current()
    found = reprocess(world, *hours)
    assert [c.provenance.period for c in found.candidates] == hours
    assert {c.provenance.reprocessing for c in found.candidates} == {"fix"}
    assert world.place.manifests.current() == before
    done = world.place.reprocessings.hours("fix")
    assert {h: d.base for h, d in done.items()} == {h: world.confirmed(h) for h in hours}
    assert before is not None
    assert {d.base_root for d in done.values()} == {before.id}


def test_a_published_reprocessing_moves_hours_days_and_months_once(world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours)
    world.clock.ms = MONTH_OVER
    publication = publish(world)
    assert publication.cause == "reprocessing/fix"
    assert publication.reason == "goal added"
    assert set(publication.moved) == {*(f"hour/{h}" for h in hours), "day/2026-09-21", "month/2026-09"}
    assert world.values("day/2026-09-21", "goal") == {"goal 0"}
    assert world.place.reprocessings.get("fix").state == "published"
    assert world.place.reprocessings.get("fix").publication == publication.id
    assert publish(world) == publication, "publishing again finds it done"


def test_a_publisher_that_died_after_its_move_finds_its_move(world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours)
    publication = publish(world)
    closed = world.place.reprocessings.get("fix")
    world.place.reprocessings.change(closed, state="open", publication="")
    world.deliver([world.event(4 * HOUR_MS)])
    world.publish(hour(4), run="later")
    assert publish(world) == publication


def test_an_ordinary_run_never_publishes_a_candidate(world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours)
    world.publish(hour(4), run="other hour")
    publish_range(world.place, hours, "by hand", reason="test")
    assert world.values(f"hour/{hours[0]}", "goal") == set()


def test_hours_that_are_done_are_kept(world: World) -> None:
    """A run dies after its second hour: the next one makes the third only."""
    hours = three_hours(world)
    add_goal(world)
    share = share_of(world.place, request(*hours), "first run")

    def die(candidate: Candidate) -> None:
        if candidate.provenance.period == hours[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fold_share(share, hours, die)
    with pytest.raises(Incomplete, match=hours[2]):
        publish(world)
    found = reprocess(world, *hours, run="second run")
    assert [c.provenance.period for c in found.candidates] == [hours[2]]
    assert found.kept == hours[:2]
    assert publish(world).cause == "reprocessing/fix"


def test_hours_are_done_again_after_a_change_of_rules_or_logic(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = three_hours(world)
    reprocess(world, *hours)
    assert reprocess(world, *hours, run="unchanged").candidates == []
    add_goal(world)
    assert len(reprocess(world, *hours, run="rules").candidates) == 3
    monkeypatch.setattr("orchestration.steps.candidate_range.LOGIC_VERSION", 999)
    assert len(reprocess(world, *hours, run="logic").candidates) == 3


def test_an_hour_in_which_visits_only_end_knows_its_rules(world: World) -> None:
    three_hours(world)
    add_goal(world)
    (made,) = reprocess(world, hour(3)).candidates
    assert made.provenance.rules == {"demo": 2}
    assert made.provenance.ledger == {}
    assert reprocess(world, hour(3), run="unchanged").candidates == []
    add_goal(world)
    assert len(reprocess(world, hour(3), run="rules").candidates) == 1


def test_a_late_event_published_meanwhile_is_not_erased(world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours)
    world.deliver([world.event(61 * MINUTE + 1, visitor=9)])
    world.publish(hours[1], run="late")
    with pytest.raises(BaseChanged, match=hours[1]) as caught:
        publish(world)
    assert [change.hour for change in caught.value.changes] == [hours[1]]
    assert "events/00000 +1" in str(caught.value)
    assert world.total(f"hour/{hours[1]}")["pageviews"] == 16
    found = reprocess(world, *hours, run="resumed")
    assert [c.provenance.period for c in found.candidates] == [hours[1]]
    publish(world)
    assert world.total(f"hour/{hours[1]}")["pageviews"] == 16
    assert world.values(f"hour/{hours[1]}", "goal") == {"goal 0"}


def test_of_two_reprocessings_that_overlap_the_second_is_refused(world: World) -> None:
    hours = three_hours(world)
    add_goal(world)
    reprocess(world, *hours[:2], name="early")
    reprocess(world, *hours[1:], name="late")
    publish(world, "early")
    with pytest.raises(BaseChanged) as caught:
        publish(world, "late")
    assert [change.hour for change in caught.value.changes] == [hours[1]]
    assert "goal added" in str(caught.value)
    assert "recount reprocess resume late" in str(caught.value)


def test_only_some_sites_change(world: World) -> None:
    world.place.catalog.add(Site(id="other", domain="other.example"))
    hours = three_hours(world, "demo", "other")
    add_goal(world)
    add_goal(world, "other")
    found = reprocess(world, *hours, sites=("other",))
    assert {site for c in found.candidates for site in c.provenance.sites} == {"other"}
    publication = publish(world)
    assert {site for sites in publication.sites.values() for site in sites} == {"other"}
    assert world.values(f"hour/{hours[0]}", "goal", "other") == {"goal 0"}
    assert world.values(f"hour/{hours[0]}", "goal", "demo") == set()
    assert world.total(f"hour/{hours[0]}", "demo")["pageviews"] == 15
    made = world.place.candidates.info("hour", hours[0], world.confirmed(hours[0]))
    assert made is not None
    assert sorted(made.ledger) == ["demo", "other"], "the ledger of the hour stays whole"


def test_from_raw_archives_again_and_publishes_late_events(world: World) -> None:
    hours = three_hours(world)
    world.deliver([world.event(30 * MINUTE + 1, visitor=9)])
    newest = world.place.archive.newest(hours[0])
    found = reprocess(world, *hours, source="raw")
    assert world.place.archive.newest(hours[0]) == newest, "a draft is nobody else's"
    assert len(found.candidates) == 3
    publish(world)
    assert world.total(f"hour/{hours[0]}")["pageviews"] == 16
    draft = world.place.archive.newest(hours[0])
    assert draft is not None
    assert draft.generation == world.place.reprocessings.hours("fix")[hours[0]].archive


def test_from_raw_with_some_sites_leaves_late_events_of_others_to_come(world: World) -> None:
    world.place.catalog.add(Site(id="other", domain="other.example"))
    hours = three_hours(world, "demo", "other")
    late = [world.event(30 * MINUTE + 1, visitor=9, site=site) for site in ("demo", "other")]
    world.deliver(late, LIVE)
    reprocess(world, *hours, source="raw", sites=("other",))
    publish(world)
    assert world.total(f"hour/{hours[0]}", "other")["pageviews"] == 16
    assert world.total(f"hour/{hours[0]}", "demo")["pageviews"] == 15
    world.publish(*hours, run="stale")
    assert world.total(f"hour/{hours[0]}", "demo")["pageviews"] == 16
    assert world.total(f"hour/{hours[0]}", "other")["pageviews"] == 16


def test_a_crash_between_archive_and_fold_loses_no_follower(world: World) -> None:
    hours = three_hours(world)
    world.deliver([world.event(175 * MINUTE, visitor=9)])
    archive_share(share_of(world.place, request(*hours, source="raw"), "died"), hours)
    found = reprocess(world, *hours, source="raw", run="resumed")
    assert [c.provenance.period for c in found.candidates] == [*hours, hour(3)]


def test_an_hour_without_anything_published_is_passed_over(world: World) -> None:
    hours = three_hours(world)
    found = reprocess(world, *hours, hour(9))
    assert found.unpublished == [hour(9)]
    assert len(found.candidates) == 3
    publish(world)


def test_what_is_closed_cannot_be_worked_on(world: World) -> None:
    hours = three_hours(world)
    reprocess(world, *hours)
    world.place.reprocessings.add(request(*hours, name="empty"))
    with pytest.raises(InvalidInput, match="no candidate yet"):
        publish(world, "empty")
    world.place.reprocessings.change(world.place.reprocessings.get("fix"), state="discarded")
    with pytest.raises(InvalidInput, match="is discarded"):
        publish(world)
    with pytest.raises(InvalidInput, match="is discarded"):
        reprocess(world, *hours, run="again")

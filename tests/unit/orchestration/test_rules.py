"""A draft of rules previewed, published, brought into force from now on, and taken back."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestration.steps.archive_range import archive_range
from orchestration.steps.candidate_range import fold_share, share_of
from orchestration.steps.hours import made_by
from orchestration.steps.publish_range import publish_range
from orchestration.steps.rollup_range import rollup_range
from recount.errors import Conflict, Incomplete
from recount.ledger import BOT, COUNTED, EXCLUDED
from recount.periods import HOUR_MS, MINUTE_MS, hour_ranges
from recount.rules import Exclusion, Rules
from recount.store.manifests import Publication
from recount.store.reprocessings import Reprocessing
from tests.unit.orchestration.world import World, hour

STAFF = Rules(exclusions=(Exclusion(kind="country", pattern="DE"),))
ADMIN = Rules(exclusions=(Exclusion(kind="page", pattern="/admin"),))


def three_hours(world: World) -> list[str]:
    """Of each two events one is from Germany."""
    for n in range(3):
        deliver(world, n)
    hours = [hour(n) for n in range(3)]
    world.publish(*hours)
    return hours


def deliver(world: World, n: int) -> None:
    world.deliver(
        [
            world.event(n * HOUR_MS + t * MINUTE_MS, visitor=t + 1, country=("DE", "FR")[t % 2])
            for t in range(4)
        ]
    )


def draft(world: World, rules: Rules) -> int:
    place = world.place
    site = place.rulebook.site("demo")
    return place.rulebook.edit(site, rules, by="eve", why="staff", now_ms=world.clock.ms).version


def preview(world: World, hours: list[str], name: str = "look", *, until_now: bool = True) -> None:
    book = world.place.rulebook
    found = book.draft(book.site("demo"))
    assert found is not None
    book.previewed(found, name)
    world.place.reprocessings.add(
        Reprocessing(
            id=name,
            spans=hour_ranges(hours),
            source="archive",
            reason="staff",
            requested_by="eve",
            requested_ms=1,
            sites=["demo"],
            rules={"demo": found.version},
            until_now=until_now,
        )
    )
    compute(world, hours, name)


def compute(world: World, hours: list[str], name: str = "look") -> None:
    request = world.place.reprocessings.get(name)
    fold_share(share_of(world.place, request, f"run of {name} for {len(hours)} hours"), hours)


def publish(world: World, name: str = "look") -> Publication:
    return world.place.corrections.publish(name, "publisher")


def views(world: World, n: int) -> int:
    return world.total(f"hour/{hour(n)}").get("pageviews", 0)


def line(world: World, n: int) -> Mapping[str, int]:
    info = world.place.candidates.info("hour", hour(n), world.confirmed(hour(n)))
    assert info is not None
    return info.ledger["demo"]


def version(world: World, n: int) -> int:
    info = world.place.candidates.info("hour", hour(n), world.confirmed(hour(n)))
    assert info is not None
    return info.rules["demo"]


def test_a_preview_shows_nobody_anything_and_its_publication_is_in_force(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours[1:])
    assert [views(world, n) for n in range(3)] == [4, 4, 4]
    deliver(world, 3)
    world.clock.ms += HOUR_MS
    world.publish(hour(3), run="meanwhile")
    assert views(world, 3) == 4, "the draft is not in force"

    with pytest.raises(Incomplete, match=hour(3)):
        publish(world)
    assert world.place.rulebook.site("demo").rules_version == 1
    wanted = world.place.corrections.outdated(
        world.place.reprocessings.get("look"), world.place.reprocessings.hours("look")
    )
    assert wanted == [hour(3)]
    compute(world, wanted)
    publication = publish(world)
    assert [views(world, n) for n in range(4)] == [4, 2, 2, 2]
    assert line(world, 1)[EXCLUDED] == 2
    assert line(world, 1)[COUNTED] == 2
    assert line(world, 1)[BOT] == 0
    assert [version(world, n) for n in range(4)] == [1, 2, 2, 2]
    assert publish(world) == publication, "publishing again finds it done"

    deliver(world, 5)
    world.publish(hour(5), run="as it comes")
    assert views(world, 5) == 2
    for n in (0, 1):
        world.deliver([world.event(n * HOUR_MS + 50 * MINUTE_MS, visitor=9, country="DE")])
    world.publish(hour(0), hour(1), run="late")
    assert views(world, 0) == 5, "what was counted by the old rules goes on by them"
    assert views(world, 1) == 2
    assert line(world, 1)[EXCLUDED] == 3


def test_a_publisher_that_dies_before_the_rules_are_in_force_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = three_hours(world)
    number = draft(world, STAFF)
    preview(world, hours)
    with monkeypatch.context() as broken:
        broken.setattr(world.place.rulebook.__class__, "bring_into_force", die)
        with pytest.raises(KeyboardInterrupt):
            publish(world)
    assert views(world, 0) == 2
    assert world.place.rulebook.site("demo").rules_version == 1
    root = world.place.manifests.current()
    publication = publish(world)
    assert root is not None
    assert publication.id == root.id, "nothing moves twice"
    assert world.place.rulebook.site("demo").rules_version == number
    assert world.place.reprocessings.get("look").state == "published"


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_an_hour_folded_before_the_rules_changed_is_folded_again_when_it_is_shown(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    archive_range(world.place, [hours[0]], "slow")
    rollup_range(world.place, made_by("slow", [hours[0]], world.place.archive), "slow", reason="late")
    publish(world)
    publish_range(world.place, [hours[0]], "slow", reason="late")
    assert views(world, 0) == 2
    assert version(world, 0) == 2
    assert line(world, 0)[EXCLUDED] == 3


def test_from_now_on_leaves_the_past_as_it_was(world: World) -> None:
    three_hours(world)
    number = draft(world, STAFF)
    book = world.place.rulebook
    book.bring_into_force("demo", number, {}, how="from now on", now_ms=world.clock.ms)
    deliver(world, 5)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    world.clock.ms += HOUR_MS
    world.publish(hour(0), hour(5), run="both")
    assert (views(world, 0), version(world, 0)) == (5, 1)
    assert (views(world, 5), version(world, 5)) == (2, 2)


def test_a_draft_that_was_edited_since_is_not_published(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    draft(world, ADMIN)
    with pytest.raises(Conflict, match="2 of demo are not the draft any more"):
        publish(world)
    assert views(world, 0) == 4


def test_a_bounded_preview_corrects_its_range_only(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours[:1], until_now=False)
    publish(world)
    assert [views(world, n) for n in range(3)] == [2, 4, 4]
    world.deliver([world.event(HOUR_MS + 50 * MINUTE_MS, visitor=9, country="DE")])
    world.publish(hours[1], run="late")
    assert (views(world, 1), version(world, 1)) == (5, 1)


def test_a_rollback_takes_the_rules_back_with_the_numbers(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    publication = publish(world)
    world.clock.ms += HOUR_MS
    undone = world.place.rollbacks.undo(publication.id, reason="no", by="eve", now_ms=world.clock.ms)
    assert isinstance(undone, Publication)
    assert [views(world, n) for n in range(3)] == [4, 4, 4]
    site = world.place.rulebook.site("demo")
    assert (site.rules, site.rules_version) == (Rules(), 1)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9, country="DE")])
    world.publish(hours[0], run="late")
    assert (views(world, 0), version(world, 0)) == (5, 1)
    world.place.rulebook.edit(site, STAFF, by="eve", why="", now_ms=world.clock.ms)
    preview(world, hours, "again")
    publish(world, "again")
    assert [version(world, n) for n in range(3)] == [3, 3, 3]


def test_a_rollback_that_is_no_move_back_leaves_the_rules(world: World) -> None:
    hours = three_hours(world)
    draft(world, STAFF)
    preview(world, hours)
    publication = publish(world)
    world.deliver([world.event(50 * MINUTE_MS, visitor=9)])
    world.publish(hours[0], run="late")
    undone = world.place.rollbacks.undo(publication.id, reason="no", by="eve", now_ms=world.clock.ms)
    assert isinstance(undone, Reprocessing)
    assert world.place.rulebook.site("demo").rules_version == 2

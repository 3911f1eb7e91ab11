"""Every event that the door took is in exactly one column of its hour and site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from orchestration.spools import Place, SpoolReport, Unshipped
from recount.errors import Incomplete
from recount.ledger import COLUMNS, UNKNOWN_SITE, Line, total, unbalanced
from recount.periods import HOUR_MS, MINUTE_MS
from recount.publishing.publisher import HourCandidate
from tests.unit.orchestration.world import BULK, START, World, hour

ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def shown(world: World, n: int) -> Mapping[str, Line]:
    """The ledger of the n-th hour as it was published last."""
    entry = world.entry(hour(n))
    assert entry is not None
    info = world.place.candidates.info("hour", hour(n), entry.confirmed)
    assert info is not None
    return info.ledger


def columns(world: World, n: int, site: str = "demo") -> dict[str, int]:
    """What is not 0 of a line."""
    return {part: count for part, count in shown(world, n).get(site, {}).items() if count}


def poison(world: World, ts: int, **given: Any) -> bytes:
    return world.event(ts, v=9, **given)


def waiting(world: World, *events: tuple[int, str, int]) -> Unshipped:
    """(hour, site, seq) of events that are in the spool `s` only."""
    return Unshipped(waiting=[Place("s", hour(n), site, [seq]) for n, site, seq in events])


def test_a_run_with_everything(world: World) -> None:
    """Visits, robots, repeats, bad and late events, events in a spool, and one that Kafka refused."""
    door: Counter[tuple[int, str]] = Counter()  # what was accepted, by hour and site

    def taken(n: int, count: int = 1, site: str = "demo") -> None:
        door[n, site] += count

    good = [world.event(t * MINUTE_MS, visitor=t) for t in range(10)]
    taken(0, 10)
    other = [world.event(5, site="other"), world.event(HOUR_MS + 5, site="other")]
    taken(0, site="other")
    taken(1, site="other")
    robots = [world.event(t, visitor=77, ua=ROBOT) for t in (100, 200)]
    taken(0, 2)
    repeats = [world.event(30, id="twice"), world.event(40, id="twice"), world.event(50, id="twice")]
    taken(0, 3)
    across = [world.event(HOUR_MS - 10, id="edge"), world.event(HOUR_MS + 10, id="edge")]
    taken(0)
    taken(1)
    bad = [poison(world, 60), poison(world, 70, site="other"), poison(world, HOUR_MS + 80)]
    taken(0)
    taken(0, site="other")
    taken(1)
    world.deliver([*good, *other, *robots, *repeats, *across, *bad])
    world.deliver([good[0], bad[0], repeats[1]])  # the shipper sends a batch again: the same numbers
    world.deliver([world.event(700, spool="import", seq=1)], BULK)
    taken(0)
    late = [world.event(t, visitor=200) for t in (800, 900)]  # they are still in the spool
    in_spool = world.event(HOUR_MS + 900, visitor=201)
    taken(0, 2)
    taken(1)
    seq = world._seq
    world.spools.answers = [[SpoolReport("s", 1, START)]]
    world.spools.not_shipped = Unshipped(
        waiting=[Place("s", hour(0), "demo", [seq - 2, seq - 1]), Place("s", hour(1), "demo", [seq])],
        set_aside=[Place("s", hour(0), "demo", [seq + 1])],
    )
    taken(0)

    world.publish(hour(0), hour(1))
    outside = {"quarantined": 2, "pending": 2}
    assert columns(world, 0) == {"accepted": 21, "counted": 13, "bot": 2, "duplicate": 2} | outside
    assert columns(world, 1) == {"accepted": 3, "duplicate": 1, "quarantined": 1, "pending": 1}
    assert columns(world, 0, "other") == {"accepted": 2, "counted": 1, "quarantined": 1}
    assert columns(world, 1, "other") == {"accepted": 1, "counted": 1}
    check(world, door)

    world.spools.not_shipped, world.spools.answers = Unshipped(), [[]]
    world.deliver([*late, in_spool])
    world.publish(hour(0), hour(1))
    assert columns(world, 0)["counted"] == 15
    assert "pending" not in columns(world, 0)
    assert columns(world, 1)["counted"] == 1
    door[0, "demo"] -= 1  # the piece is no longer told of: its shipper's disk was cleared
    check(world, door)


def check(world: World, door: Counter[tuple[int, str]]) -> None:
    """Accepted is what the door took, and the columns add up to it."""
    for (n, site), count in door.items():
        line = shown(world, n)[site]
        assert line["accepted"] == count, (n, site, line)
        assert sum(line.get(part, 0) for part in COLUMNS) == count


def test_a_letter_that_is_replayed_moves_from_one_column_to_another(world: World) -> None:
    broken, fixed = poison(world, 10, seq=900, id="x"), world.event(10, seq=900, id="x")
    world.deliver([world.event(0), broken])
    world.publish(hour(0))
    assert columns(world, 0) == {"accepted": 2, "counted": 1, "quarantined": 1}
    world.deliver([fixed])
    world.publish(hour(0))
    assert columns(world, 0) == {"accepted": 2, "counted": 2}
    world.deliver([fixed])  # replayed twice
    world.publish(hour(0))
    assert columns(world, 0) == {"accepted": 2, "counted": 2}


def test_a_letter_that_fails_again_is_one_letter(world: World) -> None:
    broken = poison(world, 10, seq=900)
    world.deliver([broken, world.event(0)])
    world.deliver([broken])
    world.publish(hour(0))
    assert columns(world, 0) == {"accepted": 2, "counted": 1, "quarantined": 1}


def test_what_is_below_the_cut_counts_and_nothing_beyond_it(world: World) -> None:
    world.deliver([world.event(0)])
    world.publish(hour(0))
    world.deliver([poison(world, 10)])
    assert columns(world, 0) == {"accepted": 1, "counted": 1}
    world.publish(hour(0))
    assert columns(world, 0) == {"accepted": 2, "counted": 1, "quarantined": 1}


def test_records_whose_site_cannot_be_read_have_a_line_of_their_own(world: World) -> None:
    nameless = world.event(10).replace(b'"site":"demo"', b'"site":7')
    world.deliver([world.event(0), nameless])
    world.publish(hour(0))
    assert columns(world, 0, UNKNOWN_SITE) == {"accepted": 1, "quarantined": 1}


def test_an_event_that_is_shipped_while_the_cut_is_taken_is_counted(world: World) -> None:
    world.deliver([world.event(0, seq=5), poison(world, 1, seq=6)])
    world.spools.not_shipped = waiting(world, (0, "demo", 5), (0, "demo", 6), (0, "demo", 7))
    world.publish(hour(0))
    assert columns(world, 0) == {"accepted": 3, "counted": 1, "quarantined": 1, "pending": 1}


def test_a_site_with_nothing_but_pending_events_has_a_line(world: World) -> None:
    world.deliver([world.event(0)])
    world.spools.not_shipped = waiting(world, (0, "new", 50))
    world.publish(hour(0))
    assert columns(world, 0, "new") == {"accepted": 1, "pending": 1}


def test_a_candidate_whose_ledger_does_not_balance_is_not_published(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.deliver([world.event(0)])
    wrong = {"demo": {"accepted": 2, "counted": 1}}
    monkeypatch.setattr("orchestration.steps.rollup_range.ledger_of", lambda info, rollup: wrong)
    with pytest.raises(AssertionError):
        world.publish(hour(0))
    (generation,) = world.place.candidates.generations("hour", hour(0))
    with pytest.raises(Incomplete, match="2 accepted, 1 accounted for"):
        world.place.publisher.publish([HourCandidate(hour(0), generation)], "test")
    assert world.entry(hour(0)) is None


def test_sums_and_differences() -> None:
    lines: dict[str, Line] = {"a": {"accepted": 3, "counted": 2, "pending": 1}, "b": {"accepted": 1}}
    assert total(lines.values())["accepted"] == 4
    (found,) = unbalanced(hour(0), lines)
    assert (found.site, found.accepted, found.accounted) == ("b", 1, 0)

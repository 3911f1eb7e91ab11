"""Receipts cover everything below the cut, or what is missing is read again, or it is named."""

from __future__ import annotations

import pytest

from orchestration.steps.completeness import Interval, Proof, Prover, in_words
from orchestration.steps.cut import TakenCut
from recount.errors import Incomplete
from tests.unit.orchestration.world import BULK, HOUR, LIVE, World


def prove(world: World, cut: TakenCut | None = None, catch_up_ms: int = 2_000) -> Proof:
    place = world.place
    prover = Prover(
        raw=place.raw,
        log=place.log,
        proven=place.proven,
        quarantine=place.quarantine,
        catch_up_ms=catch_up_ms,
        now_ms=place.now_ms,
        sleep=place.sleep,
    )
    return prover.prove(cut or world.cut())


def test_receipts_without_a_gap_are_proof_at_once(world: World) -> None:
    world.deliver([world.event(n) for n in range(4)])
    world.deliver([world.event(n) for n in range(2)], BULK)
    proof = prove(world)
    assert proof == Proof((), (), 0, 0)
    assert proof.complete
    assert world.place.proven.offset(LIVE) == 4


def test_overlaps_from_redelivery_are_fine(world: World) -> None:
    offsets = world.deliver([world.event(n) for n in range(6)])
    world.store(offsets[2:5])
    world.store(offsets[4:])
    assert prove(world).complete


def test_an_empty_log_is_complete(world: World) -> None:
    assert prove(world).complete


def test_waits_while_store_batches_catches_up(world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(6)])
    cut = world.cut()
    world.place.sleep(0)
    sleep = world.clock.sleep

    def storing(seconds: float) -> None:
        sleep(seconds)
        world.store(offsets)

    place = world.place
    prover = Prover(place.raw, place.log, place.proven, place.quarantine, 5_000, place.now_ms, storing)
    proof = prover.prove(cut)
    assert proof.complete
    assert proof.reread_events == 0
    assert proof.waited_ms == 500


def test_a_missing_interval_is_read_again(world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(10)])
    world.store(offsets[:3])
    world.store(offsets[8:])
    proof = prove(world)
    assert proof.complete
    assert proof.reread_events == 5
    assert world.place.raw.read(HOUR)["offset"].sort().to_list() == list(range(10))
    assert prove(world) == Proof((), (), 0, 0)


def test_poison_in_a_missing_interval_is_quarantined(world: World) -> None:
    world.produce([world.event(0), b"no event", world.event(1)])
    proof = prove(world)
    assert proof.complete
    assert [(d.offset, d.value) for d in world.dead] == [(1, b"no event")]
    assert world.place.raw.read(HOUR).height == 2
    assert 1 in world.place.raw.receipts(LIVE)[0].quarantined


def test_what_the_log_no_longer_has_is_a_hole_on_record(world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(10)])
    world.store(offsets[:2])
    world.store(offsets[8:])
    world.log.expire(LIVE, 5)
    proof = prove(world)
    hole = Interval(LIVE, 2, 5)
    assert proof.holes == (hole,)
    assert proof.complete, "a hole is shown, it does not block for ever"
    assert proof.reread_events == 3
    assert world.place.proven.holes() == [hole]
    assert in_words(proof.holes) == "events/0 offsets 2 to 4"
    assert prove(world).holes == ()
    assert world.place.proven.holes() == [hole]


def test_a_hole_alone_is_not_waited_for(world: World) -> None:
    world.produce([world.event(n) for n in range(3)])
    world.log.expire(LIVE, 3)
    assert prove(world).waited_ms == 0


def test_a_gap_that_cannot_be_read_now_blocks_and_is_named(world: World) -> None:
    offsets = world.produce([world.event(n) for n in range(10)])
    world.store(offsets[:4])
    cut = world.cut()
    world.log.away = True
    proof = prove(world, cut)
    assert not proof.complete
    assert proof.missing == (Interval(LIVE, 4, 10),)
    assert "does not answer" in proof.detail
    assert world.place.proven.offset(LIVE) == 0
    assert world.place.proven.holes() == []
    world.log.away = False
    assert prove(world, cut).complete


def test_what_is_proven_needs_no_receipts_any_more(world: World) -> None:
    world.deliver([world.event(n) for n in range(4)])
    assert prove(world).complete
    for item in list(world.place.tables.raw.scan()):
        world.place.tables.raw.delete((item["pk"], item["sk"]))
    world.deliver([world.event(9)])
    assert prove(world).holes == ()


def test_events_beyond_the_cut_do_not_matter(world: World) -> None:
    world.deliver([world.event(0)])
    cut = world.cut()
    world.produce([world.event(1)])
    assert prove(world, cut).complete


def test_a_log_made_anew_is_refused(world: World) -> None:
    world.place.proven.advance(LIVE, 100)
    world.deliver([world.event(0)])
    with pytest.raises(Incomplete, match="made anew"):
        prove(world)


def test_proven_never_moves_back(world: World) -> None:
    world.place.proven.advance(LIVE, 10)
    world.place.proven.advance(LIVE, 4)
    assert world.place.proven.offset(LIVE) == 10

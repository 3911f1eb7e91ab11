"""The decision, case by case, and the words that explain it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.autoscale.decide import Observation, State, decide
from edge.autoscale.policy import Mode, Policy, ingest_policy, live_policy, mode_of
from recount.errors import SetupError
from recount.settings import Settings

INGEST = Policy(
    service="ingest",
    unit="requests",
    minimum=1,
    maximum=4,
    target=1000,
    up_cooldown_s=15,
    down_cooldown_s=300,
    stale_s=15,
)
LIVE = replace(INGEST, service="live", unit="records", backlog_max_s=10)
CALM = State()


def test_it_jumps_to_what_is_needed() -> None:
    decision = decide(CALM, Observation(1, 100, 2900), INGEST, 100)
    assert decision.wanted == 3
    assert decision.reason == "2,900 requests/s on 1 instance, target 1,000 each: needs 3"


def test_a_little_above_the_target_is_no_reason() -> None:
    assert decide(CALM, Observation(2, 100, 2150), INGEST, 100).wanted == 2
    assert decide(CALM, Observation(2, 100, 2250), INGEST, 100).wanted == 3


def test_the_limit_is_named() -> None:
    far = decide(CALM, Observation(2, 100, 9000), INGEST, 100)
    assert far.wanted == 4
    assert far.reason.endswith("needs 9, 4 is the limit")
    there = decide(CALM, Observation(4, 100, 9000), INGEST, 100)
    assert not there.changes
    assert there.reason.endswith("needs 9, 4 is the limit")


def test_between_two_steps_up_it_waits() -> None:
    first = decide(CALM, Observation(1, 100, 1900), INGEST, 100)
    second = decide(first.state, Observation(2, 105, 3900), INGEST, 105)
    assert not second.changes
    assert second.reason.endswith("waits 10 s more of 15 s")
    assert decide(second.state, Observation(2, 115, 3900), INGEST, 115).wanted == 4


def test_down_only_after_the_load_has_fitted_for_long() -> None:
    state, wanted = CALM, []
    for now in range(0, 301, 10):
        decision = decide(state, Observation(4, now, 700 if now != 50 else 1500), INGEST, now)
        state = decision.state
        wanted.append(decision.wanted)
    assert set(wanted[:-1]) == {4}
    assert wanted[-1] == 2, "the most that it needed meanwhile, not what it needs now"
    assert decision.reason == "700 requests/s on 4 instances, target 1,000 each, fits into 2 since 300 s"


def test_a_load_that_would_fit_only_just_is_no_reason_to_go_down() -> None:
    state = CALM
    for now in range(0, 1000, 10):
        decision = decide(state, Observation(2, now, 850), INGEST, now)
        state = decision.state
        assert not decision.changes


def test_a_peak_starts_the_waiting_again() -> None:
    state = CALM
    for now in range(0, 600, 10):
        decision = decide(state, Observation(2, now, 1900 if now == 290 else 100), INGEST, now)
        state = decision.state
        assert not decision.changes
    assert decide(state, Observation(2, 600, 100), INGEST, 600).wanted == 1


def test_without_a_signal_nothing_changes_and_it_says_so() -> None:
    blind = decide(CALM, Observation(3, 100, missing="no Traefik is in the directory"), INGEST, 100)
    assert not blind.changes
    assert blind.reason == "no change, the load is not known: no Traefik is in the directory"
    old = decide(CALM, Observation(3, 80, 9000), INGEST, 100)
    assert (old.changes, old.reason) == (False, "no change, the load was last seen 20 s ago")


def test_a_signal_in_part_is_enough_to_add_but_not_to_remove() -> None:
    said = "traefik-8091 does not say its metrics"
    assert decide(CALM, Observation(1, 100, 2900, partial=said), INGEST, 100).wanted == 3
    state = CALM
    for now in range(0, 1000, 10):
        decision = decide(state, Observation(3, now, 10, partial=said), INGEST, now)
        state = decision.state
        assert not decision.changes
    assert decision.reason.endswith(f"would fit into 1, but {said}")


def test_somebody_elses_change_is_not_undone_at_once() -> None:
    state = decide(CALM, Observation(1, 0, 100), INGEST, 0).state
    for now in range(10, 310, 10):
        decision = decide(state, Observation(3, now, 100), INGEST, now)
        state = decision.state
        assert not decision.changes
    assert decide(state, Observation(3, 310, 100), INGEST, 310).wanted == 1


def test_the_limits_hold_whatever_the_load() -> None:
    few = decide(CALM, Observation(1, 0, missing="unknown"), replace(INGEST, minimum=2), 0)
    assert (few.wanted, few.reason) == (2, "2 to 4 instances are allowed, 1 run")
    assert decide(CALM, Observation(9, 0, 9000), INGEST, 0).wanted == 4


def test_a_backlog_adds_instances_though_the_load_is_met() -> None:
    decision = decide(CALM, Observation(1, 100, 500, backlog=25_000), LIVE, 100)
    assert decision.wanted == 3
    assert "25,000 behind (25.0 s of work, 10 s allowed)" in decision.reason
    state = CALM
    for now in range(0, 1000, 10):  # too much to go on with fewer
        decision = decide(state, Observation(2, now, 500, backlog=6_000), LIVE, now)
        state = decision.state
        assert not decision.changes


def test_live_never_has_more_instances_than_partitions() -> None:
    policy = live_policy(Settings(kafka_partitions=2, live_min=3, live_max=8))
    assert (policy.minimum, policy.maximum) == (2, 2)
    assert decide(CALM, Observation(1, 0, 1e9, 1e9), policy, 0).wanted == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ingest_min": 0}, "RECOUNT_INGEST_MIN is 0"),
        ({"ingest_min": 5, "ingest_max": 4}, "RECOUNT_INGEST_MIN is 5 and RECOUNT_INGEST_MAX is 4"),
        ({"ingest_max": 21}, "between 1 and 20"),
        ({"target_requests_per_s": 0}, "a target of 0 requests/s"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, int], named: str) -> None:
    with pytest.raises(SetupError, match=named):
        ingest_policy(replace(Settings(), **changes))  # type: ignore[arg-type]


def test_the_mode_is_one_of_three_words() -> None:
    assert mode_of(Settings(autoscale="dry-run")) is Mode.DRY_RUN
    with pytest.raises(SetupError, match="set on or dry-run or off"):
        mode_of(Settings(autoscale="maybe"))

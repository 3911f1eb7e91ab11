"""Whatever the load does, the autoscaler stays within its limits, keeps its pauses and does not flap."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.autoscale.decide import Decision, Observation, State, decide
from edge.autoscale.policy import DOWN_BELOW, Policy

INTERVAL_S = 5.0
loads = st.floats(0, 50_000, allow_nan=False)
backlogs = st.floats(0, 1e6, allow_nan=False)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    least = draw(st.integers(1, 10))
    return Policy(
        service="ingest",
        unit="requests",
        minimum=least,
        maximum=draw(st.integers(least, 20)),
        target=draw(st.floats(1, 10_000)),
        backlog_max_s=draw(st.sampled_from([0.0, 15.0])),
        up_cooldown_s=draw(st.sampled_from([0.0, 15.0, 60.0])),
        down_cooldown_s=draw(st.sampled_from([0.0, 30.0, 300.0])),
        stale_s=15.0,
    )


@st.composite
def observations(draw: st.DrawFn, at_s: float, instances: int) -> Observation:
    """Loads of all sizes, and now and then none, an old one, or one in part."""
    kind = draw(st.sampled_from(["seen", "seen", "seen", "missing", "old", "partial"]))
    return Observation(
        instances,
        at_s - 100 if kind == "old" else at_s,
        None if kind == "missing" else draw(loads),
        draw(backlogs),
        missing="nobody says" if kind == "missing" else "",
        partial="one does not say" if kind == "partial" else "",
    )


@dataclass
class Story:
    """A service that does what is decided, unless somebody else changes it."""

    policy: Policy
    instances: int
    now: float = 1000.0
    state: State = field(default_factory=State)

    def see(self, seen: Observation) -> Decision:
        decision = decide(self.state, seen, self.policy, self.now)
        self.state, self.instances = decision.state, decision.wanted
        self.now += INTERVAL_S
        return decision


@given(policies(), st.integers(1, 25), st.data())
def test_always_within_the_limits_with_a_reason_and_never_in_a_pause(
    policy: Policy, instances: int, data: st.DataObject
) -> None:
    story = Story(policy, instances)
    raised = changed = float("-inf")
    for _ in range(data.draw(st.integers(1, 40))):
        now, before = story.now, story.instances
        seen = data.draw(observations(now, before))
        decision = story.see(seen)
        assert policy.minimum <= decision.wanted <= policy.maximum
        assert decision.reason
        blind = seen.load_per_s is None or seen.at_s < now - policy.stale_s
        if policy.minimum <= before <= policy.maximum:
            assert not (blind and decision.changes)
            if decision.wanted > before:
                assert now - raised >= policy.up_cooldown_s
            if decision.wanted < before:
                assert now - changed >= policy.down_cooldown_s
                assert not seen.partial
        if decision.wanted > before:
            raised = now
        if decision.changes:
            changed = now


@given(policies(), st.integers(1, 25), loads, backlogs)
def test_a_constant_load_is_met_and_then_left_alone(
    policy: Policy, instances: int, load: float, backlog: float
) -> None:
    story = Story(policy, instances)
    counts = [instances]
    for _ in range(400):
        story.see(Observation(story.instances, story.now, load, backlog))
        counts.append(story.instances)
    turns = {after > before for before, after in pairwise(counts[1:]) if after != before}
    assert len(turns) <= 1, f"up and down under one load: {counts}"
    assert len(set(counts[300:])) == 1, "it comes to rest"
    if story.instances < policy.maximum:
        assert load <= story.instances * policy.target * 1.1
    if story.instances > policy.minimum and not policy.backlog_max_s:
        assert load > (story.instances - 1) * policy.target * DOWN_BELOW * 0.999


@given(policies(), st.integers(1, 25), loads, loads, backlogs, st.data())
def test_more_load_never_means_fewer_instances(
    policy: Policy, instances: int, one: float, other: float, backlog: float, data: st.DataObject
) -> None:
    story = Story(policy, instances)
    for _ in range(data.draw(st.integers(0, 10))):
        story.see(data.draw(observations(story.now, story.instances)))
    less, more = (
        decide(story.state, Observation(story.instances, story.now, load, backlog), policy, story.now).wanted
        for load in sorted((one, other))
    )
    assert less <= more

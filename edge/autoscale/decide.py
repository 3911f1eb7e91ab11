"""The decision: a pure function of what was known, what is seen, the policy and the moment.

Up at once, down late: too few instances lose requests, too many cost a little. The room between the two
thresholds keeps a constant load from adding and removing in turns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from edge.autoscale.policy import DOWN_BELOW, UP_ABOVE, Policy


@dataclass(frozen=True)
class Observation:
    """What is seen of a service at `at_s`. `load_per_s` is None where nobody can say, and `missing` says why.

    `partial`: what part of the load is not in it, if any. `backlog`: what waits to be worked off, in the
    policy's unit. `instances` are those wanted at present, starting ones included.
    """

    instances: int
    at_s: float
    load_per_s: float | None = None
    backlog: float = 0.0
    missing: str = ""
    partial: str = ""


@dataclass(frozen=True)
class State:
    """What a decision remembers: the last changes, and since when the load would fit into how many."""

    instances: int | None = None
    raised_s: float | None = None
    changed_s: float | None = None
    fits_since_s: float | None = None
    fits_into: int = 0


@dataclass(frozen=True)
class Decision:
    """How many instances there should be, why in words, and what to remember until the next decision."""

    instances: int
    wanted: int
    reason: str
    state: State

    @property
    def changes(self) -> bool:
        return self.wanted != self.instances


def decide(state: State, seen: Observation, policy: Policy, now: float) -> Decision:
    """Moments are seconds of one clock that never goes back."""
    state = _noticed(state, seen, now)
    within = min(max(seen.instances, policy.minimum), policy.maximum)
    if within != seen.instances:
        limits = f"{policy.minimum} to {policy.maximum} instances are allowed, {seen.instances} run"
        return _change(state, seen, within, limits, now)
    if seen.load_per_s is None:
        return _keep(state, seen, f"no change, the load is not known: {seen.missing}")
    if now - seen.at_s > policy.stale_s:
        return _keep(state, seen, f"no change, the load was last seen {now - seen.at_s:.0f} s ago")
    if _overloaded(seen, seen.load_per_s, policy):
        return _up(state, seen, seen.load_per_s, policy, now)
    return _down(state, seen, seen.load_per_s, policy, now)


def _noticed(state: State, seen: Observation, now: float) -> State:
    """Somebody else has changed the number: that counts as a change, so it is not undone at once."""
    if state.instances is None or state.instances == seen.instances:
        return replace(state, instances=seen.instances)
    raised = now if seen.instances > state.instances else state.raised_s
    return State(seen.instances, raised, now)


def _overloaded(seen: Observation, load: float, policy: Policy) -> bool:
    capacity = seen.instances * policy.target
    return load > capacity * UP_ABOVE or (
        policy.backlog_max_s > 0 and seen.backlog > capacity * policy.backlog_max_s
    )


def _up(state: State, seen: Observation, load: float, policy: Policy, now: float) -> Decision:
    needed = max(seen.instances + 1, _needed(load, seen.backlog, policy))
    wanted = min(needed, policy.maximum)
    why = f"{_words(seen, load, policy)}: needs {needed}"
    if wanted == seen.instances:
        return _keep(state, seen, f"no change, {why}, {policy.maximum} is the limit")
    if state.raised_s is not None and now - state.raised_s < policy.up_cooldown_s:
        return _keep(state, seen, f"no change, {why}; {_cooling(now - state.raised_s, policy.up_cooldown_s)}")
    if wanted < needed:
        why += f", {policy.maximum} is the limit"
    return _change(state, seen, wanted, why, now)


def _down(state: State, seen: Observation, load: float, policy: Policy, now: float) -> Decision:
    fits = max(policy.minimum, _needed(load / DOWN_BELOW, 2 * seen.backlog, policy))
    why = _words(seen, load, policy)
    if fits >= seen.instances:
        return _keep(state, seen, f"no change, {why}")
    if seen.partial:
        return _keep(state, seen, f"no change, {why}, would fit into {fits}, but {seen.partial}")
    began = now if state.fits_since_s is None else state.fits_since_s
    into = max(fits, state.fits_into if state.fits_since_s is not None else 0)
    state = replace(state, fits_since_s=began, fits_into=into)
    waited = min(now - began, now - (began if state.changed_s is None else state.changed_s))
    why += f", fits into {into}"
    if waited < policy.down_cooldown_s:
        return Decision(
            seen.instances,
            seen.instances,
            f"no change, {why}; {_cooling(waited, policy.down_cooldown_s)}",
            state,
        )
    return _change(state, seen, into, f"{why} since {now - began:.0f} s", now)


def _needed(load: float, backlog: float, policy: Policy) -> int:
    """Instances for this load and this backlog, each at the target."""
    needed = _ceil(load / policy.target)
    if policy.backlog_max_s > 0:
        needed = max(needed, _ceil(backlog / (policy.target * policy.backlog_max_s)))
    return needed


def _ceil(instances: float) -> int:
    return math.ceil(instances - 1e-9)


def _keep(state: State, seen: Observation, reason: str) -> Decision:
    return Decision(seen.instances, seen.instances, reason, replace(state, fits_since_s=None, fits_into=0))


def _change(state: State, seen: Observation, wanted: int, reason: str, now: float) -> Decision:
    raised = now if wanted > seen.instances else state.raised_s
    return Decision(seen.instances, wanted, reason, State(wanted, raised, now))


def _words(seen: Observation, load: float, policy: Policy) -> str:
    said = (
        f"{load:,.0f} {policy.unit}/s on {seen.instances} instance{'' if seen.instances == 1 else 's'}, "
        f"target {policy.target:,.0f} each"
    )
    if policy.backlog_max_s > 0 and seen.backlog:
        behind_s = seen.backlog / (seen.instances * policy.target)
        said += (
            f", {seen.backlog:,.0f} behind ({behind_s:.1f} s of work, {policy.backlog_max_s:.0f} s allowed)"
        )
    return said


def _cooling(waited_s: float, wanted_s: float) -> str:
    return f"waits {wanted_s - waited_s:.0f} s more of {wanted_s:.0f} s"

"""Parts of the edge killed under load: the service goes on and recovers by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from tests.faults.edge_room import EdgeRoom
from tests.faults.steady import SteadyLoad
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.stack, pytest.mark.timeout(900)]
PER_S = 500


def test_one_of_two_traefiks_killed(edge: EdgeRoom) -> None:
    """A client sees a 502 or 503 for what was under way, until HAProxy's check has noticed."""
    edge.scale("traefik", 2)
    with SteadyLoad(edge.front, edge.add_site("traefik"), per_second=PER_S, again=True) as load:
        for _ in range(2):
            load.wait_for(3 * PER_S)
            victim = max(edge.pids("traefik"))
            os.kill(victim, signal.SIGKILL)
            load.wait_for(3 * PER_S)
            eventually(lambda: len(edge.pids("traefik")) == 2, "its successor runs")
            eventually(lambda: len(edge.present("traefik")) == 2, "both are in the directory")
        load.wait_for(3 * PER_S)
    assert load.acknowledged == load.sent
    edge.tell("traefik killed", load)
    edge.check(load)


def test_the_consul_agent_killed(edge: EdgeRoom) -> None:
    """A client sees nothing: everybody goes on with what Consul said last."""
    edge.scale("ingest", 2)
    with SteadyLoad(edge.front, edge.add_site("consul"), per_second=PER_S) as load:
        load.wait_for(3 * PER_S)
        edge.kill("consul")
        load.wait_for(6 * PER_S)
        edge.wait_until_healthy(["consul"])
        eventually(lambda: len(edge.in_consul("ingest")) == 2, "the instances are in the new agent")
        load.wait_for(6 * PER_S)
    assert not load.failures, load.kinds
    assert load.acknowledged == load.sent
    edge.check(load)


def test_consul_away_for_long_while_an_instance_goes_and_another_comes(edge: EdgeRoom) -> None:
    """What Consul said last holds for the front; the numbers of instances wanted do not depend on it."""
    edge.scale("ingest", 2)
    with SteadyLoad(edge.front, edge.add_site("consul-away"), per_second=PER_S, again=True) as load:
        load.wait_for(2 * PER_S)
        edge.stop("consul")
        load.wait_for(4 * PER_S)
        before = len(load.failures)
        edge.stack.stack.scale("ingest", 1)  # its spool is emptied first, its entry in Consul is stale
        load.wait_for(4 * PER_S)
        edge.start("consul")
        eventually(lambda: len(edge.in_consul("ingest")) == 1, "Consul knows one")
        edge.scale("ingest", 2)
        eventually(lambda: all(edge.taken(2)), "both take events")
    assert before == 0, load.kinds
    assert load.acknowledged == load.sent
    edge.tell("consul away, an ingest stopped", load)
    edge.check(load)


def live(edge: EdgeRoom, number: int, site: str) -> dict[str, Any]:
    """What one live instance answers of a site; nothing where it does not answer."""
    url = f"http://{edge.settings.host}:{edge.settings.live_port + number}/v1/live/{site}"
    try:
        found: dict[str, Any] = httpx.get(url, params={"minutes": 60}, trust_env=False, timeout=30).json()
    except httpx.TransportError:
        return {}
    return found


def whole(edge: EdgeRoom, number: int, site: str, pageviews: int) -> bool:
    answer = live(edge, number, site)
    return bool(answer) and answer["complete"] and answer["totals"]["pageviews"] == pageviews


def never_short(ask: Callable[[], dict[str, Any]], pageviews: int, until: Callable[[], bool]) -> int:
    """Asks until the condition holds: an answer that calls itself complete has all. How many did not."""
    incomplete = 0

    def look() -> bool:
        nonlocal incomplete
        answer = ask()
        if answer and answer["complete"]:
            assert answer["totals"]["pageviews"] == pageviews, "smaller, and nobody said so"
        incomplete += bool(answer) and not answer["complete"]
        return until()

    eventually(look, "it recovers")
    return incomplete


def test_one_live_instance_killed(edge: EdgeRoom) -> None:
    """An answer says that it is not complete while an owner is away or reads again; then it is whole."""
    edge.scale("live", 1)
    first = set(edge.pids("live"))
    edge.scale("live", 2)
    site = edge.add_site("live", spread=edge.settings.kafka_partitions)
    with SteadyLoad(edge.front, site, per_second=PER_S) as load:
        load.wait_for(3 * PER_S)
    sent = len(load.acknowledged)
    for number in range(2):
        eventually(partial(whole, edge, number, site, sent), f"instance {number} answers for both")
    (victim,) = set(edge.pids("live")) - first
    os.kill(victim, signal.SIGKILL)
    ask = partial(live, edge, 0, site)
    incomplete = never_short(
        ask, sent, lambda: victim not in edge.pids("live") and whole(edge, 1, site, sent)
    )
    assert incomplete, "it was noticed"
    eventually(partial(whole, edge, 0, site, sent), "and the other answers for both again")
    edge.check(load)


def test_live_instances_answer_whole_or_say_so_while_they_are_scaled(edge: EdgeRoom) -> None:
    site = edge.add_site("live-scaled", spread=edge.settings.kafka_partitions)
    with SteadyLoad(edge.front, site, per_second=PER_S) as load:
        load.wait_for(3 * PER_S)
    sent = len(load.acknowledged)
    eventually(partial(whole, edge, 0, site, sent), "one instance answers for all")
    ask = partial(live, edge, 0, site)
    for count in (3, 1):
        edge.stack.stack.scale("live", count)
        never_short(ask, sent, lambda n=count: settled(edge, n, site, sent))  # type: ignore[misc]
    edge.check(load)


def settled(edge: EdgeRoom, instances: int, site: str, pageviews: int) -> bool:
    """So many share the partitions, each answers for all, and so do the dashboards through them."""
    owners = [i for i in edge.present("live") if i.meta.get("partitions")]
    return len(owners) == instances and all(whole(edge, n, site, pageviews) for n in range(instances))


def test_dashboards_agree(edge: EdgeRoom) -> None:
    """Two dashboards and two live instances: whoever is asked, it is the same number."""
    edge.scale("live", 2)
    edge.scale("dashboard", 2)
    site = edge.add_site("agree", spread=edge.settings.kafka_partitions)
    with SteadyLoad(edge.front, site, per_second=PER_S) as load:
        load.wait_for(2 * PER_S)
    sent = len(load.acknowledged)
    for number in range(2):
        eventually(partial(whole, edge, number, site, sent), f"live instance {number} answers for both")
    answers = [edge.totals(number, site) for number in (0, 1, 0, 1)]
    assert answers == [sent] * 4
    edge.check(load)

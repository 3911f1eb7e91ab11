"""How long clients notice: one of three ingest instances killed under load, and a load that has grown."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from tests.bench.rows import Row
from tests.bench.stacks import own_stack
from tests.faults.edge_room import EdgeRoom
from tests.faults.steady import SteadyLoad

PER_S: Final = 300
INSTANCES: Final = 3
WATCHED_S: Final = 10.0
GIVE_UP_S: Final = 120.0
ROUTED_WITHIN_S: Final = 3.0
GROWN_WITHIN_S: Final = 15.0
CONDITIONS: Final = "the whole edge, the load and the measurement on 2 cores; one JSON event a request"
CHANGES: Final = {"RECOUNT_RATE_LIMIT_PER_S": "0", "RECOUNT_TARGET_REQUESTS_PER_S": str(PER_S // 2)}


def measure(*, large: bool) -> list[Row]:
    """One row for each of the two; the rest of the settings are those of a fresh stack."""
    return [
        _in_stack({"RECOUNT_AUTOSCALE": "off", "RECOUNT_INGEST_INSTANCES": "1"}, _routed_around),
        _in_stack({"RECOUNT_INGEST_MAX": "2"}, _grown),
    ]


def _in_stack(changes: dict[str, str], of: Callable[[EdgeRoom], Row]) -> Row:
    with own_stack(CHANGES | changes) as stack:
        return of(EdgeRoom.of(stack))


def _routed_around(edge: EdgeRoom) -> Row:
    """From the kill to the last request that failed; until then clients send again."""
    edge.scale("ingest", INSTANCES)
    with SteadyLoad(edge.front, edge.add_site("failover"), per_second=PER_S, again=True) as load:
        load.wait_for(3 * PER_S)
        killed_s = time.monotonic()
        os.kill(max(edge.pids("ingest")), signal.SIGKILL)
        time.sleep(WATCHED_S)
    failed = [failure.at_s - killed_s for failure in load.failures if failure.at_s >= killed_s]
    seconds = max(failed, default=0.0)
    lost = len(load.sent - load.acknowledged)
    return Row(
        name=f"edge, 1 of {INSTANCES} ingest instances killed: last failed request after",
        ours=seconds,
        unit="s",
        target=f"< {ROUTED_WITHIN_S:g}",
        ok=seconds < ROUTED_WITHIN_S and not lost,
        conditions=f"{CONDITIONS}, {PER_S} a second, {len(failed)} failed and were sent again, {lost} lost",
    )


def _grown(edge: EdgeRoom) -> Row:
    """From twice the target's load to the moment at which the second instance takes events."""
    with SteadyLoad(edge.front, edge.add_site("ramp"), per_second=PER_S / 10) as load:
        load.wait_for(PER_S // 5)
        began_s = time.monotonic()
        load.per_second = PER_S
        while len(edge.present("ingest")) < 2 or not edge.taken(2)[1]:
            if time.monotonic() - began_s > GIVE_UP_S:
                break
            time.sleep(0.1)
        seconds = time.monotonic() - began_s
    return Row(
        name="edge, load grown to twice the target: a second ingest instance takes events after",
        ours=seconds,
        unit="s",
        target=f"< {GROWN_WITHIN_S:g}",
        ok=seconds < GROWN_WITHIN_S and not load.failures,
        conditions=f"{CONDITIONS}, {PER_S} a second, {len(load.failures)} failed",
    )

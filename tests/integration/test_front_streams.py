"""Live streams through the front: unbuffered, unpacked, for as long as somebody watches."""

from __future__ import annotations

import re

import pytest

from dashboard_svc.streams import HEARTBEAT_S
from edge.front.render import haproxy_config
from recount.settings import Settings
from tests.integration.front_door import FrontDoor
from tests.integration.live_stream import states
from tests.stack import TestStack


@pytest.mark.stack
def test_a_visit_is_on_the_stream_through_the_front(stack_parts: TestStack) -> None:
    front = FrontDoor(stack_parts)
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, br"}
    with front.http.stream("GET", f"/{front.site}/live", headers=headers) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-store"
        assert "Content-Encoding" not in stream.headers
        seen = states(stream)
        first = next(seen)["totals"]
        assert front.send(**{"X-Other": "visitor"}).status_code == 202
        assert next(state for state in seen if state["totals"] != first)["current_visitors"] >= 1


def test_heartbeats_come_well_before_any_timeout() -> None:
    timeouts = dict(re.findall(r"timeout (client|server) +(\d+)s", haproxy_config(Settings())))
    assert set(timeouts) == {"client", "server"}
    assert all(int(seconds) >= 3 * HEARTBEAT_S for seconds in timeouts.values())

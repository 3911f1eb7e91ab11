"""What an instance does at SIGTERM and SIGINT."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from recount.discovery import FileDirectory, Instance, Presence
from recount.stopping import Stopping

ONE = Instance("worker", "one", "127.0.0.1", 1)
LONG_S = 3600.0


class Routed(FileDirectory):
    """Somebody may send requests to those who were in it."""

    def routes(self, instance: Instance) -> bool:
        return True


def test_an_instance_that_nobody_routes_to_stops_when_it_has_left(tmp_path: Path) -> None:
    directory, stopped = FileDirectory(tmp_path), threading.Event()
    with Presence(directory, lambda: ONE) as presence:
        Stopping(presence, LONG_S, stopped.set)(signal.SIGTERM)
        assert stopped.wait(30)
        assert directory.instances("worker") == []


def test_one_that_may_be_routed_to_serves_on_until_it_is_told_again(tmp_path: Path) -> None:
    directory, stopped = Routed(tmp_path), threading.Event()
    with Presence(directory, lambda: ONE) as presence:
        stopping = Stopping(presence, LONG_S, stopped.set)
        stopping(signal.SIGTERM)
        while directory.instances("worker"):
            assert not stopped.wait(0.01)
        assert not stopped.is_set()
        stopping(signal.SIGTERM)
        assert stopped.is_set()


def test_it_stops_by_itself_after_a_while(tmp_path: Path) -> None:
    stopped = threading.Event()
    with Presence(Routed(tmp_path), lambda: ONE) as presence:
        Stopping(presence, 0.01, stopped.set)(signal.SIGTERM)
        assert stopped.wait(30)


def test_an_interrupt_stops_at_once(tmp_path: Path) -> None:
    directory, stopped = Routed(tmp_path), threading.Event()
    with Presence(directory, lambda: ONE) as presence:
        Stopping(presence, LONG_S, stopped.set)(signal.SIGINT)
        assert stopped.is_set()
    assert directory.instances("worker") == []

"""An instance that is asked to drain is not in the directory, and comes back when it is asked no more."""

from __future__ import annotations

from pathlib import Path

from edge.drain import DrainingDirectory
from recount.discovery import FileDirectory, Instance
from recount.drains import Drains

ONE = Instance("ingest", "ingest-8080", "127.0.0.1", 8080)
TWO = Instance("ingest", "ingest-8081", "127.0.0.1", 8081)


def test_it_leaves_with_the_flag_and_returns_without(tmp_path: Path) -> None:
    now = [100.0]
    drains = Drains(tmp_path / "drains")
    directory = DrainingDirectory(FileDirectory(tmp_path), drains, clock=lambda: now[0])
    other = DrainingDirectory(FileDirectory(tmp_path), drains)
    directory.register(ONE)
    other.register(TWO)
    assert directory.left_s is None

    drains.ask(ONE.id)
    for _ in range(2):
        directory.register(ONE)
        other.register(TWO)
        assert directory.instances("ingest") == [TWO]
        now[0] += 2
    left_s: list[float | None] = [directory.left_s, other.left_s]
    assert left_s == [4, None]

    drains.cancel(ONE.id)
    directory.register(ONE)
    assert directory.instances("ingest") == [ONE, TWO]
    assert directory.left_s is None


def test_one_that_was_started_again_while_it_drains_does_not_enter(tmp_path: Path) -> None:
    drains = Drains(tmp_path / "drains")
    drains.ask(ONE.id)
    directory = DrainingDirectory(FileDirectory(tmp_path), drains)
    directory.register(ONE)
    assert directory.instances("ingest") == []
    drains.clear()
    directory.register(ONE)
    assert directory.instances("ingest") == [ONE]


def test_cancelling_twice_is_harmless(tmp_path: Path) -> None:
    drains = Drains(tmp_path / "none")
    drains.cancel(ONE.id)
    drains.clear()
    assert not drains.asked(ONE.id)

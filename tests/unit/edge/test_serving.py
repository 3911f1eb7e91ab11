"""An instance is in the directory while it is ready and not asked to drain."""

from __future__ import annotations

from pathlib import Path

from edge.serving import WhileServing
from recount.discovery import FileDirectory, Instance
from recount.drains import Drains

ONE = Instance("ingest", "ingest-8080", "127.0.0.1", 8080)
TWO = Instance("ingest", "ingest-8081", "127.0.0.1", 8081)


def test_it_leaves_with_the_flag_and_returns_without(tmp_path: Path) -> None:
    now = [100.0]
    drains = Drains(tmp_path / "drains")
    directory = WhileServing(FileDirectory(tmp_path), drains, lambda: True, clock=lambda: now[0])
    other = WhileServing(FileDirectory(tmp_path), drains, lambda: True)
    directory.register(ONE)
    other.register(TWO)
    assert directory.instances("ingest") == [ONE, TWO]

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
    directory = WhileServing(FileDirectory(tmp_path), drains, lambda: True)
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


def test_one_that_is_not_ready_is_not_found_yet(tmp_path: Path) -> None:
    ready = [False]
    directory = WhileServing(FileDirectory(tmp_path), Drains(tmp_path / "drains"), lambda: ready[0])
    directory.register(ONE)
    assert directory.instances("ingest") == []
    ready[0] = True
    directory.register(ONE)
    ready[0] = False
    directory.register(ONE)
    assert directory.instances("ingest") == [ONE], "whoever was ready stays, for as long as its entry holds"
    directory.deregister(ONE)
    assert directory.instances("ingest") == []

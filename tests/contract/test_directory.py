"""The behaviour that every directory of instances has."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from recount.discovery import Directory, FileDirectory, Instance, JoinedDirectory, Presence, presence
from recount.discovery.consul import ConsulDirectory
from tests.stack import TestStack

DirectoryMaker = Callable[[float], Directory]
# A service whose readiness nobody asks: what this suite is about are entries.
ONE = Instance("worker", "one", "127.0.0.1", 8180, {"partitions": "0,1"})
TWO = Instance("worker", "two", "127.0.0.1", 8181)


@contextmanager
def in_consul(request: pytest.FixtureRequest) -> Iterator[Callable[[float], ConsulDirectory]]:
    parts: TestStack = request.getfixturevalue("stack_parts")
    parts.need("consul")
    yield lambda expires_s: ConsulDirectory(parts.settings.consul, expires_s=expires_s)
    for instance in (ONE, TWO):
        ConsulDirectory(parts.settings.consul).deregister(instance)


@pytest.fixture(params=["files", "consul", "joined"])
def make_directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DirectoryMaker]:
    """A maker of directories that share their contents, given the seconds after which an instance expires."""

    def files(expires_s: float) -> FileDirectory:
        return FileDirectory(tmp_path, expires_s=expires_s)

    if request.param == "files":
        yield files
        return
    with in_consul(request) as consul:
        joined = lambda s: JoinedDirectory(files(s), consul(s), "127.0.0.1")  # noqa: E731
        yield joined if request.param == "joined" else consul


def test_an_unknown_service_has_no_instances(make_directory: DirectoryMaker) -> None:
    assert make_directory(60).instances("worker") == []


def test_registered_instances_are_seen_by_everyone(make_directory: DirectoryMaker) -> None:
    make_directory(60).register(TWO)
    make_directory(60).register(ONE)
    assert make_directory(60).instances("worker") == [ONE, TWO]
    assert make_directory(60).instances("ingest") == []


def test_registering_again_replaces_the_metadata(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    directory.register(ONE)
    moved = replace(ONE, meta={"partitions": "2"})
    directory.register(moved)
    assert directory.instances("worker") == [moved]


def test_deregistering_removes_and_is_harmless_twice(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    directory.register(ONE)
    directory.deregister(ONE)
    directory.deregister(ONE)
    assert directory.instances("worker") == []


def test_an_instance_that_is_not_refreshed_expires(make_directory: DirectoryMaker) -> None:
    directory = make_directory(0.05)
    directory.register(ONE)
    deadline = time.monotonic() + 30
    while make_directory(0.05).instances("worker") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert make_directory(0.05).instances("worker") == []


def test_a_beat_keeps_an_instance(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    directory.register(ONE)
    directory.register(ONE)
    assert make_directory(60).instances("worker") == [ONE]


def test_nobody_routes_to_an_instance_that_no_front_knows(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    directory.register(ONE)
    assert not directory.routes(ONE)


def test_presence_enters_and_leaves(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    with Presence(directory, lambda: ONE):
        assert directory.instances("worker") == [ONE]
    assert directory.instances("worker") == []


def test_a_missed_beat_is_made_up_for(
    make_directory: DirectoryMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, tried, again = make_directory(60), threading.Event(), threading.Event()

    def describe() -> Instance:
        if tried.is_set():
            again.set()
        elif threading.current_thread().name == "presence":
            tried.set()
            raise OSError(errno.ENOSPC, "no space left")
        return ONE

    monkeypatch.setattr(presence, "HEARTBEAT_S", 0.01)
    with Presence(directory, describe):
        assert again.wait(30)

"""The behaviour that every directory of instances has."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from recount import discovery
from recount.discovery import Directory, FileDirectory, Instance, Presence

DirectoryMaker = Callable[[float], Directory]
ONE = Instance("live", "one", "127.0.0.1", 8180, {"partitions": "0,1"})
TWO = Instance("live", "two", "127.0.0.1", 8181)


@pytest.fixture(params=["files"])
def make_directory(request: pytest.FixtureRequest, tmp_path: Path) -> DirectoryMaker:
    """A maker of directories that share their contents, given the seconds after which an instance expires."""
    return lambda expires_s: FileDirectory(tmp_path, expires_s=expires_s)


def test_an_unknown_service_has_no_instances(make_directory: DirectoryMaker) -> None:
    assert make_directory(60).instances("live") == []


def test_registered_instances_are_seen_by_everyone(make_directory: DirectoryMaker) -> None:
    make_directory(60).register(TWO)
    make_directory(60).register(ONE)
    assert make_directory(60).instances("live") == [ONE, TWO]
    assert make_directory(60).instances("ingest") == []


def test_registering_again_replaces_the_metadata(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    directory.register(ONE)
    moved = replace(ONE, meta={"partitions": "2"})
    directory.register(moved)
    assert directory.instances("live") == [moved]


def test_deregistering_removes_and_is_harmless_twice(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    directory.register(ONE)
    directory.deregister(ONE)
    directory.deregister(ONE)
    assert directory.instances("live") == []


def test_an_instance_that_is_not_refreshed_expires(make_directory: DirectoryMaker) -> None:
    directory = make_directory(0.05)
    directory.register(ONE)
    time.sleep(0.2)
    assert directory.instances("live") == []


def test_presence_enters_and_leaves(make_directory: DirectoryMaker) -> None:
    directory = make_directory(60)
    with Presence(directory, lambda: ONE):
        assert directory.instances("live") == [ONE]
    assert directory.instances("live") == []


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

    monkeypatch.setattr(discovery, "HEARTBEAT_S", 0.01)
    with Presence(directory, describe):
        assert again.wait(30)

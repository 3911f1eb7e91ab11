"""Files and Consul together: what is known while one of them is away."""

from __future__ import annotations

import errno
from pathlib import Path
from unittest.mock import Mock

import pytest
import structlog

from recount.discovery import EXPIRES_S, FileDirectory, Instance, JoinedDirectory, Presence, presence
from recount.discovery.consul import ConsulDirectory
from recount.errors import InvalidInput, Unavailable

HERE = Instance("live", "here", "10.0.0.1", 8180)
THERE = Instance("live", "there", "10.0.0.2", 8180)


class FakeConsul(FileDirectory):
    """May be away."""

    away = False

    def register(self, instance: Instance) -> None:
        self._answer()
        super().register(instance)

    def deregister(self, instance: Instance) -> None:
        self._answer()
        super().deregister(instance)

    def instances(self, service: str) -> list[Instance]:
        self._answer()
        return super().instances(service)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("consul", "connection refused")


@pytest.fixture
def consul(tmp_path: Path) -> FakeConsul:
    return FakeConsul(tmp_path / "consul")


@pytest.fixture
def joined(tmp_path: Path, consul: FakeConsul) -> JoinedDirectory:
    return JoinedDirectory(FileDirectory(tmp_path / "files"), consul, HERE.host)


def test_other_hosts_are_found_through_consul(joined: JoinedDirectory, consul: FakeConsul) -> None:
    joined.register(HERE)
    consul.register(THERE)
    assert joined.instances("live") == [HERE, THERE]


def test_without_consul_its_last_word_stands_for_other_hosts_and_files_for_this_one(
    joined: JoinedDirectory, consul: FakeConsul
) -> None:
    joined.register(HERE)
    consul.register(THERE)
    joined.instances("live")
    consul.away = True
    new = Instance("live", "new", HERE.host, 8181)
    joined.register(new)
    joined.deregister(HERE)
    assert joined.instances("live") == [new, THERE]


def test_a_consul_that_knows_nobody_yet_leaves_the_word_to_the_files(
    joined: JoinedDirectory, consul: FakeConsul
) -> None:
    consul.away = True
    joined.register(HERE)
    consul.away = False
    assert joined.instances("live") == [HERE]
    assert consul.instances("live") == []
    joined.register(HERE)
    assert consul.instances("live") == [HERE]


def test_an_outage_is_told_once(joined: JoinedDirectory, consul: FakeConsul) -> None:
    consul.away = True
    with structlog.testing.capture_logs() as said:
        for _ in range(3):
            joined.register(HERE)
            joined.instances("live")
        consul.away = False
        joined.register(HERE)
        joined.register(HERE)
    assert [entry["log_level"] for entry in said] == ["warning", "info"]


def test_leaving_goes_on_where_the_directory_is_away(consul: FakeConsul) -> None:
    with Presence(consul, lambda: HERE):
        consul.away = True
    consul.away = False
    assert consul.instances("live") == [HERE]


def test_a_full_disk_does_not_keep_an_instance_out_of_consul(
    tmp_path: Path, consul: FakeConsul, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    files = FileDirectory(tmp_path / "files")
    monkeypatch.setattr(files, "register", full)
    with pytest.raises(OSError, match="no space"):
        JoinedDirectory(files, consul, HERE.host).register(HERE)
    assert consul.instances("live") == [HERE]


def test_nobody_at_the_address_is_unavailable_and_is_asked_once_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    directory = ConsulDirectory("http://127.0.0.1:9")
    fetch = Mock(wraps=directory._fetch)
    monkeypatch.setattr(directory, "_fetch", fetch)
    for _ in range(50):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
            directory.instances("live")
    assert fetch.call_count < 50
    with pytest.raises(Unavailable):
        directory.register(HERE)
    assert not directory.routes(HERE)


@pytest.mark.parametrize("name", ["store_batches", "Ingest", "-x", "", "a" * 64])
def test_a_service_name_must_do_in_dns(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a service"):
        ConsulDirectory("http://127.0.0.1:9").register(Instance(name, "x", "127.0.0.1", 1))


def test_the_heartbeat_comes_well_before_the_entry_expires() -> None:
    assert presence.HEARTBEAT_S * 3 < EXPIRES_S

"""How much a host may hold back, and when there is room again."""

from __future__ import annotations

import errno
import shutil
import threading
from pathlib import Path

import pytest

from edge import spool as spool_module
from edge.spool import Spool
from edge.spool_format import Entry, spool_folders, waiting_bytes
from edge.spool_reader import Reader
from recount.errors import Refused
from recount.reasons import Reason
from tests.unit.edge.spooling import SPOOL_MAX_BYTES, drain, fill, payload


def test_the_limit_refuses_and_shipping_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "ROOM_CHECK_S", 0.01)
    spool = Spool(tmp_path, max_bytes=4096)
    with pytest.raises(Refused) as refused:
        fill(spool, 1, 1000)
    assert refused.value.reason is Reason.SPOOL_FULL
    taken = spool.last_seq
    assert drain(Reader(spool.folder)) == list(range(1, taken + 1))
    deadline = threading.Event()
    for _ in range(1000):
        try:
            spool.append(0, 1, payload(taken + 1))
            break
        except Refused:
            deadline.wait(0.05)
    assert spool.last_seq == taken + 1  # the refused one left no gap


def test_the_limit_is_that_of_all_spools_of_the_host(tmp_path: Path) -> None:
    """Each restart of an ingest leaves a spool behind while Kafka is away: they must not add a limit each."""
    taken = 0
    for _ in range(4):
        spool = Spool(tmp_path, max_bytes=4096)
        with pytest.raises(Refused) as refused:
            fill(spool, 1, 1000)
        assert refused.value.reason is Reason.SPOOL_FULL
        assert spool.waiting_bytes == waiting_bytes(spool.folder)
        taken += spool.last_seq
        spool.close()
    written = sum(map(waiting_bytes, spool_folders(tmp_path)))
    assert 0 < written <= 4096
    assert taken > 9


def test_what_other_spools_ship_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "ROOM_CHECK_S", 0.01)
    dead = Spool(tmp_path, max_bytes=4096)
    with pytest.raises(Refused):
        fill(dead, 1, 1000)
    dead.close()
    spool = Spool(tmp_path, max_bytes=4096)
    with pytest.raises(Refused):
        fill(spool, 1, 1000)
    drain(Reader(dead.folder), writer_lives=False)
    shutil.rmtree(dead.folder)
    rest = threading.Event()
    for _ in range(1000):
        try:
            fill(spool, spool.last_seq + 1, spool.last_seq + 20)
            break
        except Refused:
            rest.wait(0.05)
    assert spool.last_seq >= 20
    spool.close()


def test_room_is_looked_for_again_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, again = [OSError(errno.EMFILE, "too many open files")], threading.Event()

    def look(folder: Path) -> int:
        if looks:
            raise looks.pop()
        again.set()
        return waiting_bytes(folder)

    monkeypatch.setattr(spool_module, "ROOM_CHECK_S", 0.01)
    monkeypatch.setattr(spool_module, "waiting_bytes", look)
    spool = Spool(tmp_path, max_bytes=SPOOL_MAX_BYTES)
    assert again.wait(30)
    spool.close()


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=4096)
    with pytest.raises(Refused):
        spool.append_all([Entry(0, 1, b"{%d}" % n) for n in range(1000)])
    assert (spool.last_seq, waiting_bytes(spool.folder)) == (0, 0)

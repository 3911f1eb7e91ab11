"""A disk that fails or is full: what it did not take was not acknowledged, and harms nothing else."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from edge.spool import Spool
from edge.spool_format import OVERHEAD_BYTES, Entry, frame, waiting_bytes
from edge.spool_reader import Reader
from recount.errors import Refused, SetupError, Unavailable
from recount.reasons import Reason
from tests.unit.edge.spooling import SPOOL_MAX_BYTES, drain, fill, payload


@pytest.mark.parametrize("written", [0, 1, 10, OVERHEAD_BYTES + 3])
def test_a_short_write_is_undone(spool: Spool, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    fill(spool, 1, 3)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:written]))
    with pytest.raises(Refused) as refused:
        spool.append(0, 1, payload(4))
    assert refused.value.reason is Reason.SPOOL_FULL
    monkeypatch.setattr(os, "write", real)
    fill(spool, 4, 6)
    assert drain(Reader(spool.folder)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("is_read", [True, False])
@pytest.mark.parametrize("cut", [1, 60, 90, 200])
def test_a_batch_that_a_full_disk_cuts_short_harms_no_other(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, cut: int, is_read: bool
) -> None:
    """A shipper may read between the write and its undoing: whatever it saw stays where it is."""
    fill(spool, 1, 3)
    reader = Reader(spool.folder)
    seen = drain(reader)
    real = os.write

    def write(fd: int, data: bytes) -> int:
        written = real(fd, data[:cut])
        if is_read:
            seen.extend(drain(reader))
        return written

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Refused) as refused:
        spool.append_all([Entry(0, 1, payload(number)) for number in range(4, 10)])
    assert refused.value.reason is Reason.SPOOL_FULL
    monkeypatch.undo()
    assert spool.last_seq == 3 + cut // len(frame(0, 1, payload(4), 4))
    acknowledged = range(spool.last_seq + 1, spool.last_seq + 6)
    fill(spool, acknowledged[0], acknowledged[-1])
    spool.close()
    batch = reader.read(4096, writer_lives=False)
    assert batch.damaged == []
    assert seen + [f.seq for f in batch.frames] == list(range(1, acknowledged[-1] + 1))


@pytest.mark.parametrize(("code", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)])
def test_a_failing_disk_refuses(spool: Spool, monkeypatch: pytest.MonkeyPatch, code: int, full: bool) -> None:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(Refused if full else Unavailable):
        spool.append(0, 1, payload(1))
    monkeypatch.undo()
    fill(spool, 1, 2)
    assert drain(Reader(spool.folder)) == [1, 2]


def tear_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a write stops in the middle of its frame, and cannot be undone."""
    real = os.write

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:9]))
    monkeypatch.setattr(os, "ftruncate", fail)


def test_what_cannot_be_undone_is_left_behind_in_its_segment(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(spool, 1, 3)
    tear_for_good(monkeypatch)
    with pytest.raises(Refused):
        spool.append(0, 1, payload(4))
    monkeypatch.undo()
    fill(spool, 4, 6)
    assert drain(Reader(spool.folder)) == [1, 2, 3, 4, 5, 6]


def test_a_segment_that_holds_nothing_whole_is_begun_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor would have its name, and stand behind the torn frame."""
    tear_for_good(monkeypatch)
    with pytest.raises(Refused):
        spool.append(0, 1, payload(1))
    with pytest.raises(Unavailable):
        spool.append(0, 1, payload(1))
    monkeypatch.undo()
    fill(spool, 1, 3)
    spool.close()
    batch = Reader(spool.folder).read(4096, writer_lives=False)
    assert ([f.seq for f in batch.frames], batch.damaged) == ([1, 2, 3], [])


def test_group_commit_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fdatasync

    def sync(fd: int) -> None:
        synced.append(os.fstat(fd).st_size)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", sync)
    spool = Spool(tmp_path, max_bytes=SPOOL_MAX_BYTES, fsync="group")
    spool.append(0, 1, payload(1))
    assert synced[-1] == waiting_bytes(spool.folder)
    threads = [threading.Thread(target=spool.append, args=(0, 1, b"{}")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert synced[-1] == waiting_bytes(spool.folder)
    spool.close()


def test_group_commit_refuses_what_the_disk_does_not_confirm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, max_bytes=SPOOL_MAX_BYTES, fsync="group")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(Unavailable):
        spool.append(0, 1, payload(1))
    monkeypatch.undo()
    spool.append(0, 1, payload(2))
    spool.close()


def test_an_unknown_fsync_setting_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="group"):
        Spool(tmp_path, max_bytes=SPOOL_MAX_BYTES, fsync="always")

"""The spool: what was acknowledged is read back, whole and in order, whatever happened in between."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import spool as spool_module
from edge.spool import Spool
from edge.spool_format import (
    OVERHEAD_BYTES,
    Entry,
    Progress,
    frame,
    oldest_unshipped_ms,
    read_progress,
    segment_path,
    segments,
    shippable,
    spool_folders,
    waiting_bytes,
    write_progress,
)
from edge.spool_reader import Claim, Reader
from recount.errors import Refused, SetupError, Unavailable
from recount.reasons import Reason

LIMIT = 1 << 20


def payload(number: int) -> bytes:
    return b'{"id":"%d"}' % number


def fill(spool: Spool, first: int, last: int) -> None:
    for number in range(first, last + 1):
        spool.append(number % 3, 1000 + number, payload(number))


def drain(reader: Reader, *, writer_lives: bool = True, max_bytes: int = 4096) -> list[int]:
    """Every number that can be read now, committed as it goes."""
    read: list[int] = []
    while True:
        batch = reader.read(max_bytes, writer_lives=writer_lives)
        assert [f.payload for f in batch.frames] == [payload(f.seq) for f in batch.frames]
        if batch.end == reader.committed:
            return read
        read += [f.seq for f in batch.frames]
        reader.commit(batch.end)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, max_bytes=LIMIT)


def only_segment(folder: Path) -> Path:
    return segment_path(folder, segments(folder)[-1])


def test_events_come_back_numbered_and_whole(spool: Spool) -> None:
    assert spool.append(5, 1234, payload(1)) == 1
    assert spool.append_all([Entry(0, 1, payload(2)), Entry(1, 2, payload(3))]) == 3
    frames = Reader(spool.folder).read(4096, writer_lives=True).frames
    assert [(f.seq, f.partition, f.received) for f in frames] == [(1, 5, 1234), (2, 0, 1), (3, 1, 2)]


def test_the_kafka_value_names_spool_and_number() -> None:
    assert shippable("s-1", 7, b'{"v":1}') == b'{"spool":"s-1","seq":7,"v":1}'


def test_a_reader_goes_on_where_it_committed(spool: Spool) -> None:
    fill(spool, 1, 10)
    assert drain(Reader(spool.folder)) == list(range(1, 11))
    fill(spool, 11, 12)
    reader = Reader(spool.folder)
    assert reader.committed.seq == 10
    uncommitted = reader.read(4096, writer_lives=True)
    reader.rewind()
    assert reader.read(4096, writer_lives=True).frames == uncommitted.frames
    assert [f.seq for f in uncommitted.frames] == [11, 12]


def test_segments_roll_and_go_when_shipped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=8 * 4096)
    fill(spool, 1, 400)
    assert len(segments(spool.folder)) > 2
    assert drain(Reader(spool.folder)) == list(range(1, 401))
    assert len(segments(spool.folder)) == 1
    assert waiting_bytes(spool.folder) == 0


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
    spool = Spool(tmp_path, max_bytes=LIMIT)
    assert again.wait(30)
    spool.close()


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=4096)
    with pytest.raises(Refused):
        spool.append_all([Entry(0, 1, b"{%d}" % n) for n in range(1000)])
    assert (spool.last_seq, waiting_bytes(spool.folder)) == (0, 0)


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


def test_what_cannot_be_undone_is_left_behind_in_its_segment(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(spool, 1, 3)
    real = os.write

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:9]))
    monkeypatch.setattr(os, "ftruncate", fail)
    with pytest.raises(Refused):
        spool.append(0, 1, payload(4))
    monkeypatch.undo()
    fill(spool, 4, 6)
    assert drain(Reader(spool.folder)) == [1, 2, 3, 4, 5, 6]


def test_a_segment_that_holds_nothing_whole_is_begun_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor would have its name, and stand behind the torn frame."""
    real = os.write

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:9]))
    monkeypatch.setattr(os, "ftruncate", fail)
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
    spool = Spool(tmp_path, max_bytes=LIMIT, fsync="group")
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
    spool = Spool(tmp_path, max_bytes=LIMIT, fsync="group")

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
        Spool(tmp_path, max_bytes=LIMIT, fsync="always")


def test_many_threads_leave_no_gap(spool: Spool) -> None:
    def write() -> None:
        for _ in range(200):
            spool.append(0, 1, b'{"id":"x"}')

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    frames = Reader(spool.folder).read(LIMIT, writer_lives=True).frames
    assert [f.seq for f in frames] == list(range(1, 801))


def test_the_tail_of_a_living_writer_is_waited_for(spool: Spool) -> None:
    fill(spool, 1, 2)
    whole = frame(0, 1, payload(3), 3)
    with only_segment(spool.folder).open("ab") as segment:
        segment.write(whole[:20])
        segment.flush()
        reader = Reader(spool.folder)
        assert drain(reader) == [1, 2]
        assert reader.read(4096, writer_lives=True).damaged == []
        segment.write(whole[20:])
        segment.flush()
        assert drain(reader) == [3]


@pytest.mark.parametrize("cut", [1, 5, OVERHEAD_BYTES, OVERHEAD_BYTES + 4])
def test_the_torn_tail_of_a_dead_writer_is_set_aside(spool: Spool, cut: int) -> None:
    fill(spool, 1, 3)
    with only_segment(spool.folder).open("ab") as segment:
        segment.write(frame(0, 1, payload(4), 4)[:cut])
    spool.close()
    reader = Reader(spool.folder)
    batch = reader.read(4096, writer_lives=False)
    assert [f.seq for f in batch.frames] == [1, 2, 3]
    assert len(batch.damaged[0][2]) == cut
    reader.commit(batch.end)
    assert reader.is_finished()


def test_damage_in_the_middle_costs_only_what_is_damaged(spool: Spool) -> None:
    fill(spool, 1, 9)
    spool.close()
    path = only_segment(spool.folder)
    data = bytearray(path.read_bytes())
    size = len(frame(0, 1, payload(1), 1))
    data[4 * size + OVERHEAD_BYTES] ^= 0xFF
    path.write_bytes(data)
    batch = Reader(spool.folder).read(4096, writer_lives=False)
    assert [f.seq for f in batch.frames] == [1, 2, 3, 4, 6, 7, 8, 9]
    assert batch.damaged == [(1, 4 * size, bytes(data[4 * size : 5 * size]), 4, 6)]


def test_damage_under_a_living_writer_is_given_a_moment(spool: Spool) -> None:
    now = 0.0
    fill(spool, 1, 1)
    with only_segment(spool.folder).open("ab") as segment:
        segment.write(b"garbage")
    fill(spool, 2, 3)
    reader = Reader(spool.folder, clock=lambda: now)
    assert [f.seq for f in reader.read(4096, writer_lives=True).frames] == [1]
    assert reader.read(4096, writer_lives=True).frames == []
    now = 60.0
    batch = reader.read(4096, writer_lives=True)
    assert ([f.seq for f in batch.frames], batch.damaged[0][2]) == ([2, 3], b"garbage")


@given(st.binary(max_size=400), st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_whatever_is_in_a_segment_reading_ends(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    good = b"".join(frame(0, 1, payload(n), n) for n in (1, 2, 3))
    segment_path(folder, 1).write_bytes(good[:at] + junk + good[at:])
    reader = Reader(folder)
    seen: list[int] = []
    for _ in range(20):
        batch = reader.read(4096, writer_lives=False)
        seen += [f.seq for f in batch.frames]
        reader.commit(batch.end)
    assert reader.is_finished()
    assert set(seen) >= ({1, 2, 3} if at >= len(good) else set())


def test_lost_progress_starts_over(spool: Spool) -> None:
    fill(spool, 1, 3)
    drain(Reader(spool.folder))
    assert read_progress(spool.folder).seq == 3
    (spool.folder / "progress").write_bytes(b"torn")
    assert read_progress(spool.folder) == Progress()
    assert drain(Reader(spool.folder)) == [1, 2, 3]


def test_the_oldest_unshipped_moment(spool: Spool) -> None:
    assert oldest_unshipped_ms(spool.folder) is None
    fill(spool, 1, 3)
    assert oldest_unshipped_ms(spool.folder) == 1001
    reader = Reader(spool.folder)
    reader.commit(reader.read(4096, writer_lives=True).end)
    assert oldest_unshipped_ms(spool.folder) is None
    fill(spool, 4, 4)
    assert oldest_unshipped_ms(spool.folder) == 1004


def test_progress_beyond_a_missing_segment_counts_the_rest(tmp_path: Path) -> None:
    segment_path(tmp_path, 10).write_bytes(frame(0, 77, payload(10), 10))
    write_progress(tmp_path, Progress(1, 500, 9))
    assert oldest_unshipped_ms(tmp_path) == 77
    assert drain(Reader(tmp_path)) == [10]


def test_a_spool_has_one_shipper_and_knows_whether_its_writer_lives(spool: Spool) -> None:
    claim = Claim.take(spool.folder)
    assert claim is not None
    assert Claim.take(spool.folder) is None
    assert claim.writer_lives()
    spool.close()
    assert not claim.writer_lives()
    claim.release()
    assert Claim.take(spool.folder) is not None
    assert Claim.take(spool.folder / "gone") is None

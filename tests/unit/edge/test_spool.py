"""The spool: what was acknowledged is read back, whole and in order."""

from __future__ import annotations

import threading
from pathlib import Path

from edge.spool import Spool
from edge.spool_format import (
    Entry,
    Progress,
    frame,
    oldest_unshipped_ms,
    read_progress,
    segment_path,
    segments,
    shippable,
    waiting_bytes,
    write_progress,
)
from edge.spool_reader import Claim, Reader
from tests.unit.edge.spooling import SPOOL_MAX_BYTES, drain, fill, payload


def test_events_come_back_numbered_and_whole(spool: Spool) -> None:
    assert spool.append(5, 1234, payload(1)) == 1
    assert spool.append_all([Entry(0, 1, payload(2)), Entry(1, 2, payload(3))]) == 3
    frames = Reader(spool.folder).read(4096, writer_lives=True).frames
    assert [(f.seq, f.partition, f.received) for f in frames] == [(1, 5, 1234), (2, 0, 1), (3, 1, 2)]


def test_many_threads_leave_no_gap(spool: Spool) -> None:
    def write() -> None:
        for _ in range(200):
            spool.append(0, 1, b'{"id":"x"}')

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    frames = Reader(spool.folder).read(SPOOL_MAX_BYTES, writer_lives=True).frames
    assert [f.seq for f in frames] == list(range(1, 801))


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


def test_lost_progress_starts_over(spool: Spool) -> None:
    fill(spool, 1, 3)
    drain(Reader(spool.folder))
    assert read_progress(spool.folder).seq == 3
    (spool.folder / "progress").write_bytes(b"torn")
    assert read_progress(spool.folder) == Progress()
    assert drain(Reader(spool.folder)) == [1, 2, 3]


def test_progress_beyond_a_missing_segment_counts_the_rest(tmp_path: Path) -> None:
    segment_path(tmp_path, 10).write_bytes(frame(0, 77, payload(10), 10))
    write_progress(tmp_path, Progress(1, 500, 9))
    assert oldest_unshipped_ms(tmp_path) == 77
    assert drain(Reader(tmp_path)) == [10]


def test_the_oldest_unshipped_moment(spool: Spool) -> None:
    assert oldest_unshipped_ms(spool.folder) is None
    fill(spool, 1, 3)
    assert oldest_unshipped_ms(spool.folder) == 1001
    reader = Reader(spool.folder)
    reader.commit(reader.read(4096, writer_lives=True).end)
    assert oldest_unshipped_ms(spool.folder) is None
    fill(spool, 4, 4)
    assert oldest_unshipped_ms(spool.folder) == 1004


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

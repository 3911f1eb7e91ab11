"""Segments that a writer, or a disk, left damaged: what is whole in them is read, the rest set aside."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.spool import Spool
from edge.spool_format import OVERHEAD_BYTES, frame, segment_path
from edge.spool_reader import Reader
from tests.unit.edge.spooling import drain, fill, only_segment, payload


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

"""The reading side of a spool: whole frames in order, whatever the writer's death left behind."""

from __future__ import annotations

import fcntl
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from edge.spool_format import (
    CRC,
    HEAD,
    MAGIC,
    OVERHEAD_BYTES,
    PAYLOAD_MAX_BYTES,
    SHIPPER_LOCK,
    WRITER_LOCK,
    Progress,
    read_progress,
    segment_path,
    segments,
    waiting_bytes,
    write_progress,
)

DAMAGE_PATIENCE_S: Final = 2.0


class Frame(NamedTuple):
    """One event as the writer left it."""

    partition: int
    seq: int
    received: int
    payload: bytes


class Damage(NamedTuple):
    """Bytes that are no frame, where they lay, and the numbers of the events before and after them (`before`
    is 0 where none follows: these events reach to the spool's end, if there were any)."""

    segment: int
    offset: int
    data: bytes
    after: int
    before: int


@dataclass
class Batch:
    """Frames in order, where to go on once they are delivered, and what lay between them that is no frame."""

    end: Progress
    frames: list[Frame] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)


class Claim:
    """The right to ship a spool, held by one process at a time; also tells whether its writer still lives."""

    def __init__(self, folder: Path, fd: int) -> None:
        self._folder = folder
        self._fd = fd

    @classmethod
    def take(cls, folder: Path) -> Claim | None:
        """None where another shipper has it, or the spool is gone."""
        try:
            fd = os.open(folder / SHIPPER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        if not _flock(fd):
            os.close(fd)
            return None
        return cls(folder, fd)

    def writer_lives(self) -> bool:
        fd = os.open(self._folder / WRITER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return not _flock(fd)
        finally:
            os.close(fd)

    def release(self) -> None:
        os.close(self._fd)


class Reader:
    """Reads on from the committed place; `commit` after delivery, `rewind` to read the same again."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self.committed = read_progress(folder)
        self._at = self.committed
        self._clock = clock
        self._fd = -1
        self._open_segment = -1
        self._damage: tuple[Progress, float] | None = None

    def read(self, max_bytes: int, *, writer_lives: bool) -> Batch:
        """Up to about `max_bytes`; no frames where nothing new is whole."""
        present = [s for s in segments(self.folder) if s >= self._at.segment]
        if not present:
            return Batch(self._at)
        if present[0] != self._at.segment:
            self._at = Progress(present[0], 0, self._at.seq)
        complete = len(present) > 1 or not writer_lives
        batch = self._read_segment(max_bytes, present[1] if len(present) > 1 else 0, complete=complete)
        if not batch.frames and complete and len(present) > 1 and self._is_read(batch.end):
            self._at = batch.end = Progress(present[1], 0, batch.end.seq)
        return batch

    def commit(self, progress: Progress) -> None:
        """Everything before `progress` is delivered: remember it, delete the segments before it."""
        write_progress(self.folder, progress)
        self.committed = progress
        for first in segments(self.folder):
            if first < progress.segment:
                segment_path(self.folder, first).unlink(missing_ok=True)

    def rewind(self) -> None:
        self._at = self.committed

    def is_finished(self) -> bool:
        """Whether everything that the folder holds is committed; final only once the writer is dead."""
        return waiting_bytes(self.folder) == 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = self._open_segment = -1

    def _read_segment(self, max_bytes: int, following: int, *, complete: bool) -> Batch:
        """`following`: the first number of the next segment, 0 where there is none."""
        at = self._at
        data = os.pread(self._segment_fd(at.segment), max(max_bytes, 2 * PAYLOAD_MAX_BYTES), at.offset)
        at_end = len(data) < max(max_bytes, 2 * PAYLOAD_MAX_BYTES)
        batch = Batch(at)
        used = 0
        lost: list[tuple[int, Damage]] = []  # with the number of frames before it
        while used < len(data):
            used = _take_frames(data, used, batch.frames)
            if used == len(data):
                break
            resumed = _next_frame(data, used + 1)
            if not self._gives_up_on(used, resumed, complete=complete, at_end=at_end):
                break
            until = len(data) if resumed is None else resumed
            after = batch.frames[-1].seq if batch.frames else at.seq
            damage = Damage(at.segment, at.offset + used, data[used:until], after, following)
            lost.append((len(batch.frames), damage))
            used = until
        batch.damaged = [_before(damage, batch.frames[count:]) for count, damage in lost]
        last = batch.frames[-1].seq if batch.frames else at.seq
        self._at = batch.end = Progress(at.segment, at.offset + used, last)
        return batch

    def _gives_up_on(self, used: int, resumed: int | None, *, complete: bool, at_end: bool) -> bool:
        """Bytes that are no whole frame: still being written, cut off by the buffer's end, or damage?"""
        if not at_end and used > 0:
            return False  # read again from here first
        if complete and at_end:
            return True
        if resumed is None and at_end:
            return False  # the tail of a living writer
        place = Progress(self._at.segment, self._at.offset + used)
        if self._damage is None or self._damage[0] != place:
            self._damage = (place, self._clock())
        return self._clock() - self._damage[1] >= DAMAGE_PATIENCE_S

    def _is_read(self, end: Progress) -> bool:
        return end.offset >= os.fstat(self._segment_fd(end.segment)).st_size

    def _segment_fd(self, first: int) -> int:
        if first != self._open_segment:
            self.close()
            self._fd = os.open(segment_path(self.folder, first), os.O_RDONLY | os.O_CLOEXEC)
            self._open_segment = first
        return self._fd


def whole_frames(data: bytes) -> list[Frame]:
    """The frames in bytes that may hold anything between them."""
    frames: list[Frame] = []
    at: int | None = 0
    while at is not None and at < len(data):
        end = _take_frames(data, at, frames)
        at = _next_frame(data, end + 1)
    return frames


def _before(damage: Damage, following: list[Frame]) -> Damage:
    return damage._replace(before=following[0].seq) if following else damage


def _take_frames(data: bytes, at: int, frames: list[Frame]) -> int:
    """Append the whole frames from `at` on; returns where they end."""
    size = len(data)
    head_bytes = HEAD.size
    while at + OVERHEAD_BYTES <= size:
        magic, partition, length, seq, received = HEAD.unpack_from(data, at)
        start = at + OVERHEAD_BYTES
        if magic != MAGIC or length > PAYLOAD_MAX_BYTES or start + length > size:
            break
        payload = data[start : start + length]
        (crc,) = CRC.unpack_from(data, at + head_bytes)
        if zlib.crc32(payload, zlib.crc32(data[at : at + head_bytes])) != crc:
            break
        frames.append(Frame(partition, seq, received, payload))
        at = start + length
    return at


def _next_frame(data: bytes, at: int) -> int | None:
    """Where the next whole frame begins."""
    while (at := data.find(MAGIC, at)) >= 0:
        if _take_frames(data[at : at + OVERHEAD_BYTES + PAYLOAD_MAX_BYTES], 0, []) > 0:
            return at
        at += 1
    return None


def _flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

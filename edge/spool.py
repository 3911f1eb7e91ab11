"""The writing side of the spool: an event is acknowledged once it is here."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from edge.spool_format import (
    WRITER_LOCK,
    Entry,
    frame,
    segment_path,
    spool_folders,
    waiting_bytes,
)
from recount.errors import RecountError, Refused, SetupError, Unavailable
from recount.ids import new_id
from recount.reasons import Reason

SEGMENT_MAX_BYTES: Final = 16 * 1024 * 1024
SEGMENT_MIN_BYTES: Final = 4096
ROOM_CHECK_S: Final = 0.2
SYNC_TIMEOUT_S: Final = 10.0
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FSYNC_CHOICES: Final = ("none", "group")

log = structlog.get_logger("spool")


class Spool:
    """A spool of its own for this process, safe for many threads.

    `append` returns when the kernel has the bytes: they survive the death of this process. With fsync `group`
    it returns when the disk has them: they survive the death of the machine. Raises Refused(spool_full) at
    the limit or on a full disk, Unavailable on another fault of the disk. The limit is that of all spools
    below the root, those of dead processes too; what the others write is seen at the next look.
    """

    def __init__(self, root: Path, *, max_bytes: int, fsync: str = "none") -> None:
        if fsync not in FSYNC_CHOICES:
            raise SetupError("spool", f"spool_fsync is {fsync!r}", f"set it to {' or '.join(FSYNC_CHOICES)}")
        self.id = new_id()
        self.folder = root / self.id
        self.last_seq = 0
        self.newest_ms = (
            time.time_ns() // 1_000_000
        )  # when its last event was received; at first, its beginning
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_MAX_BYTES, max(max_bytes // 8, SEGMENT_MIN_BYTES))
        self._synced = fsync == "group"
        self._lock = threading.Lock()
        self._lock_fd = _create(self.folder)
        self._size = 0
        self._first_seq = 1
        self._fd = self._open_segment()
        self._room = max_bytes
        self._others_bytes = 0
        self._look_for_room()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch_room, name="spool-room", daemon=True)
        self._watcher.start()
        self._group = _GroupCommit(self) if self._synced else None

    @property
    def waiting_bytes(self) -> int:
        """Bytes written here and, as of the last look, not shipped."""
        return self._max_bytes - self._others_bytes - self._room

    def append(self, partition: int, received: int, payload: bytes) -> int:
        """Write one event; returns its sequence number."""
        self._lock.acquire()  # for every event: `with` takes twice as long
        try:
            seq = self.last_seq + 1
            self._write(frame(partition, received, payload, seq), seq)
            self.newest_ms = received
        finally:
            self._lock.release()
        if self._group is not None:
            self._group.wait(seq)
        return seq

    def append_all(self, entries: Sequence[Entry]) -> int:
        """Write a batch with one system call; returns the last sequence number.

        Where a full disk cuts it short it raises like `append`, but its first events stay: a shipper may have
        them already. Sent again they count once, by their ids.
        """
        with self._lock:
            first, last = self.last_seq + 1, self.last_seq + len(entries)
            frames = [frame(*entry, seq) for seq, entry in enumerate(entries, first)]
            self._write(b"".join(frames), last, frames)
            self.newest_ms = entries[-1].received
        if self._group is not None:
            self._group.wait(last)
        return last

    def close(self) -> None:
        """Everything to the disk, then let go of the lock: the shipper finishes and removes the spool."""
        self._stop.set()
        self._watcher.join()
        if self._group is not None:
            self._group.close()
        with self._lock:
            os.fdatasync(self._fd)
            os.close(self._fd)
            os.close(self._lock_fd)

    def duplicate_fd(self) -> tuple[int, int]:
        """A descriptor of the current segment, to be closed by the caller, and the last number written."""
        with self._lock:
            return os.dup(self._fd), self.last_seq

    def _write(self, data: bytes, last_seq: int, frames: Sequence[bytes] = ()) -> None:
        """One system call, under the lock; `frames`: those of a batch. One written in part is undone."""
        if self._size >= self._segment_bytes:
            self._roll()
        if len(data) > self._room:
            raise Refused(Reason.SPOOL_FULL, "the spool is full; try again later")
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            self._undo()
            raise _disk_error(error) from error
        if written != len(data):
            self._keep_whole(frames, written)
            self._undo()
            raise Refused(Reason.SPOOL_FULL, "the disk of the spool is full; try again later")
        self._size += written
        self._room -= written
        self.last_seq = last_seq

    def _keep_whole(self, frames: Sequence[bytes], written: int) -> None:
        """A reader goes on behind every whole frame it met: those keep their place and their numbers."""
        for size in map(len, frames):
            if size > written:
                return
            written -= size
            self._size += size
            self._room -= size
            self.last_seq += 1

    def _undo(self) -> None:
        """Back to the last whole frame; where that fails, a fresh segment follows the torn one."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._size = self._segment_bytes

    def _roll(self) -> None:
        old = self._fd
        try:
            if self._first_seq == self.last_seq + 1:  # nothing whole is in it: the next would have its name
                os.ftruncate(old, 0)
                self._size = 0
                return
            if self._synced:
                os.fdatasync(old)
            self._fd = self._open_segment()
        except OSError as error:
            raise _disk_error(error) from error
        os.close(old)

    def _open_segment(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(segment_path(self.folder, self.last_seq + 1), flags, 0o600)
        if self._synced:
            _sync_folder(self.folder)
        self._size = os.fstat(fd).st_size
        self._first_seq = self.last_seq + 1
        return fd

    def _watch_room(self) -> None:
        while not self._stop.wait(ROOM_CHECK_S):
            self._look_for_room()

    def _look_for_room(self) -> None:
        try:
            others = sum(map(_waiting, (f for f in spool_folders(self.folder.parent) if f != self.folder)))
            with self._lock:
                own = waiting_bytes(self.folder)
                self._others_bytes = others
                self._room = self._max_bytes - others - own
        except OSError as error:  # no descriptor left, say: it must not stay full for ever
            log.warning("cannot see what is shipped; trying again", error=str(error))


class _GroupCommit:
    """One thread syncs the segment for all who wait: each waits for a sync that began after its write."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        lock = threading.Lock()
        self._wanted = threading.Condition(lock)
        self._done = threading.Condition(lock)
        self._wanted_seq = 0
        self._synced_seq = 0
        self._failed_seq = 0
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def wait(self, seq: int) -> None:
        """Raises Unavailable where the disk did not confirm: the sender must try again."""
        with self._done:
            self._wanted_seq = max(self._wanted_seq, seq)
            self._wanted.notify()
            in_time = self._done.wait_for(lambda: self._synced_seq >= seq, timeout=SYNC_TIMEOUT_S)
            if not in_time or seq <= self._failed_seq:
                raise Unavailable("spool", "the disk did not confirm the write")

    def close(self) -> None:
        with self._wanted:
            self._stop = True
            self._wanted.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._stop or self._wanted_seq > self._synced_seq)
                if self._wanted_seq <= self._synced_seq:
                    return
            seq, confirmed = self._sync()
            with self._done:
                self._synced_seq = seq
                if not confirmed:
                    self._failed_seq = seq
                self._done.notify_all()

    def _sync(self) -> tuple[int, bool]:
        fd, seq = self._spool.duplicate_fd()
        try:
            os.fdatasync(fd)
        except OSError:
            return seq, False
        finally:
            os.close(fd)
        return seq, True


def _waiting(folder: Path) -> int:
    """The unshipped bytes of a spool that may be removed at any moment."""
    try:
        return waiting_bytes(folder)
    except FileNotFoundError:
        return 0


def _create(folder: Path) -> int:
    """Under another name until the lock is held: a shipper must never see a living spool unlocked."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".new-{folder.name}")
    fresh.mkdir()
    lock_fd = os.open(fresh / WRITER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    fresh.rename(folder)
    _sync_folder(folder.parent)
    return lock_fd


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _disk_error(error: OSError) -> RecountError:
    if error.errno in DISK_FULL:
        return Refused(Reason.SPOOL_FULL, "the disk of the spool is full; try again later")
    return Unavailable("spool", os.strerror(error.errno or 0))

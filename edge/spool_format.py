"""What a spool looks like on disk; written by edge/spool.py, read by edge/spool_reader.py.

A spool is a folder named by its id. Its one writer appends frames to segment files; the shipper of the
machine reads them and deletes what Kafka has taken. A frame is a header, a CRC-32 over header and payload,
and the payload (sizes in bytes, `received` in ms UTC):

    magic 2 | Kafka partition 2 | payload size 4 | seq 8 | received 8 | CRC-32 4 | payload

The payload is the event's JSON object without `spool` and `seq`, which `shippable` puts in front. Sequence
numbers start at 1 and have no gaps, so that a loss between the door and the archive shows.

    <root>/<spool id>/writer.lock             flock held while the writer lives
    <root>/<spool id>/shipper.lock            flock held by the shipper at work on it
    <root>/<spool id>/<first seq>.seg         segments, in order
    <root>/<spool id>/progress                how far the shipper has delivered
    <root>/quarantine/                        bytes that are no frames, messages that Kafka refuses for ever;
                                              named as edge/pieces.py has it
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

MAGIC: Final = b"\xe7R"
HEAD: Final = struct.Struct("<2sHIQQ")
CRC: Final = struct.Struct("<I")
OVERHEAD_BYTES: Final = HEAD.size + CRC.size
PAYLOAD_MAX_BYTES: Final = 1024 * 1024
SEGMENT_SUFFIX: Final = ".seg"
WRITER_LOCK: Final = "writer.lock"
SHIPPER_LOCK: Final = "shipper.lock"
PROGRESS: Final = "progress"
QUARANTINE: Final = "quarantine"
SPOOL_ID_CHARS: Final = 36


class Entry(NamedTuple):
    """One event on its way into the spool; `payload` is a JSON object without `spool` and `seq`."""

    partition: int
    received: int
    payload: bytes


class Progress(msgspec.Struct, frozen=True):
    """All before `offset` of the segment named `segment` is delivered; `seq` is the last number."""

    segment: int = 0
    offset: int = 0
    seq: int = 0


_pack_head: Final = HEAD.pack
_pack_crc: Final = CRC.pack


def frame(partition: int, received: int, payload: bytes, seq: int) -> bytes:
    """The bytes of one event in a segment."""
    head = _pack_head(MAGIC, partition, len(payload), seq, received)
    return head + _pack_crc(crc32(payload, crc32(head))) + payload


def shippable(spool: str, seq: int, payload: bytes) -> bytes:
    """The Kafka value: the payload with the spool and its number in front."""
    return b'{"spool":"%b","seq":%d,%b' % (spool.encode(), seq, payload[1:])


def segment_path(folder: Path, first_seq: int) -> Path:
    return folder / f"{first_seq:020d}{SEGMENT_SUFFIX}"


def spool_folders(root: Path) -> list[Path]:
    """Every spool below a root, oldest first."""
    if not root.is_dir():
        return []
    return [p for p in sorted(root.iterdir()) if len(p.name) == SPOOL_ID_CHARS and p.is_dir()]


def segments(folder: Path) -> list[int]:
    """The first sequence number of every segment, in order."""
    end = -len(SEGMENT_SUFFIX)
    return sorted(int(name[:end]) for name in os.listdir(folder) if name.endswith(SEGMENT_SUFFIX))


def read_progress(folder: Path) -> Progress:
    """Where shipping got to; the beginning where that is not known (events then ship twice, count once)."""
    try:
        return msgspec.json.decode((folder / PROGRESS).read_bytes(), type=Progress)
    except (FileNotFoundError, msgspec.DecodeError):
        return Progress()


def write_progress(folder: Path, progress: Progress) -> None:
    """Replaces the old one in one step. Not synced: what a dead machine forgets of it is shipped again."""
    fresh = folder / (PROGRESS + ".new")
    fresh.write_bytes(msgspec.json.encode(progress))
    fresh.replace(folder / PROGRESS)


def waiting_bytes(folder: Path) -> int:
    """Bytes of the spool that are not shipped."""
    progress = read_progress(folder)
    total = 0
    for first in segments(folder):
        if first < progress.segment:
            continue
        try:
            size = segment_path(folder, first).stat().st_size
        except FileNotFoundError:  # shipped and deleted while we looked
            continue
        total += size - (progress.offset if first == progress.segment else 0)
    return total


def oldest_unshipped_ms(folder: Path) -> int | None:
    """When the ingest took the oldest event that is not shipped; None where everything is."""
    progress = read_progress(folder)
    for first in segments(folder):
        if first < progress.segment:
            continue
        offset = progress.offset if first == progress.segment else 0
        try:
            with segment_path(folder, first).open("rb") as segment:
                segment.seek(offset)
                head = segment.read(HEAD.size)
        except FileNotFoundError:  # shipped and deleted while we looked
            continue
        if len(head) == HEAD.size:
            received: int = HEAD.unpack(head)[4]
            return received
    return None

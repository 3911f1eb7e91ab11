"""Access-log lines -> dated pageviews, or the reason why a line is none.

Understands the Common and the Combined Log Format of Apache httpd (https://httpd.apache.org/docs/2.4/logs.html),
which nginx writes too.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

from recount.errors import InvalidInput

LINE_MAX_BYTES: Final = 16_384
OCCURRENCE_HOURS_MAX: Final = 48
UNPARSABLE_SAMPLES_MAX: Final = 5

_LINE: Final = re.compile(
    rb'^(?P<ip>\S+) \S+ (?P<user>.*?) \[(?P<at>[^\]]{20,32})\] "(?P<request>(?:[^"\\]|\\.)*)" '
    rb"(?P<status>\d{3}) (?:\d+|-)"
    rb'(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<ua>(?:[^"\\]|\\.)*)")?'
)
_PAGE_METHOD: Final = b"GET"
_ASSET: Final = re.compile(
    r"\.(?:avif|bmp|css|csv|eot|gif|gz|ico|jar|jpe?g|js|json|map|mjs|mp3|mp4|ogg|otf|pdf|png|rar|rpm|deb|svg|swf|tar|"
    r"tgz|tiff?|ttf|txt|wasm|wav|webm|webmanifest|webp|woff2?|xml|xz|zip)$",
    re.IGNORECASE,
)


class Skip(StrEnum):
    """Why a well-formed line is no pageview."""

    METHOD = "method other than GET"
    ERROR = "error or redirect status"
    ASSET = "asset (image, style, script, download)"


@dataclass(frozen=True, slots=True)
class Hit:
    """One page served: `path` with its query, time in ms UTC; None where the format does not say."""

    ts: int
    ip: str
    path: str
    referrer: str | None
    ua: str | None


@dataclass
class Report:
    """What became of every line; `lines` = taken + skipped + unparsable."""

    lines: int = 0
    taken: int = 0
    skipped: Counter[Skip] = field(default_factory=Counter)
    unparsable: int = 0
    unparsable_lines: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        return {
            "lines": self.lines,
            "taken": self.taken,
            "skipped": {reason.name.lower(): count for reason, count in self.skipped.items()},
            "unparsable": self.unparsable,
            "unparsable_lines": self.unparsable_lines,
        }


def parse(line: bytes) -> Hit | Skip | None:
    """A pageview, the reason why the line is none, or None where the line is not of a known format."""
    found = _LINE.match(line) if len(line) <= LINE_MAX_BYTES else None
    if found is None:
        return None
    ip, at, request, status, referrer, ua = found.group("ip", "at", "request", "status", "referrer", "ua")
    ts = _timestamp_ms(at)
    words = request.split(b" ")
    if ts is None or not 2 <= len(words) <= 3:
        return None
    if words[0] != _PAGE_METHOD:
        return Skip.METHOD
    if not (status.startswith(b"2") or status == b"304"):
        return Skip.ERROR
    path = _text(words[1])
    if _ASSET.search(path.partition("?")[0]):
        return Skip.ASSET
    return Hit(ts, _text(ip), path, _optional(referrer), _optional(ua))


def hits(lines: Iterable[bytes], report: Report, key: bytes) -> Iterator[tuple[int, str, Hit]]:
    """(line number from 1, id, hit) of every pageview; counts every line into the report.

    Real logs hold identical lines, so the id is a hash of the line and of how often it has come before. It is
    keyed, since ids are kept and a line holds an address: without a key, one could be tried after the other.
    """
    occurrences = _Occurrences(key)
    for number, line in enumerate(lines, 1):
        line = line.rstrip(b"\r\n")
        report.lines += 1
        parsed = parse(line)
        if isinstance(parsed, Hit):
            report.taken += 1
            yield number, occurrences.id_of(line, parsed.ts), parsed
        elif parsed is None:
            report.unparsable += 1
            if len(report.unparsable_lines) < UNPARSABLE_SAMPLES_MAX:
                report.unparsable_lines.append(number)
        else:
            report.skipped[parsed] += 1


def import_id_of(first_line: bytes, site_id: str, key: bytes) -> str:
    """The same for a log that is imported again, so that after an interruption the rest of a day is hashed
    with the key that its beginning was hashed with, and its visitors stay the same."""
    digest = hashlib.blake2b(b"%b\0%b" % (site_id.encode(), first_line), digest_size=16, key=key)
    return f"log-{digest.hexdigest()}"


@dataclass(frozen=True)
class OpenLog:
    """Lines of a log, and how far reading has come: `position()` of `size_bytes` (None where unknown)."""

    lines: Iterator[bytes]
    size_bytes: int | None
    position: Callable[[], int]


@contextmanager
def open_log(path: str) -> Iterator[OpenLog]:
    """A log file, plain or gzip, or stdin for `-`; raises InvalidInput where it cannot be read."""
    if path == "-":
        yield OpenLog(iter(sys.stdin.buffer), None, lambda: 0)
        return
    try:
        raw = Path(path).open("rb")  # noqa: SIM115 - closed by the ExitStack
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", field="file") from None
    with ExitStack() as stack:
        stack.enter_context(raw)
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        lines: Iterable[bytes] = stack.enter_context(gzip.open(raw)) if packed else raw
        yield OpenLog(
            iter(lines), os.fstat(raw.fileno()).st_size, lambda: os.lseek(raw.fileno(), 0, os.SEEK_CUR)
        )


class _Occurrences:
    """How often each line has come; identical lines carry the same second, so the last hours suffice."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._hours: OrderedDict[int, Counter[bytes]] = OrderedDict()

    def id_of(self, line: bytes, ts: int) -> str:
        hour = ts // 3_600_000
        seen = self._hours.get(hour)
        if seen is None:
            seen = self._hours[hour] = Counter()
            if len(self._hours) > OCCURRENCE_HOURS_MAX:
                self._hours.popitem(last=False)
        digest = hashlib.blake2b(line, digest_size=16, key=self._key)
        key = digest.digest()[:8]
        seen[key] += 1
        digest.update(b"\0%d" % seen[key])
        return digest.hexdigest()


@lru_cache(maxsize=4096)
def _timestamp_ms(text: bytes) -> int | None:
    try:
        return int(datetime.strptime(text.decode("ascii"), "%d/%b/%Y:%H:%M:%S %z").timestamp()) * 1000
    except (ValueError, UnicodeDecodeError):
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _optional(raw: bytes | None) -> str | None:
    """A sent header; `-` says that it was not sent, which is a fact of its own."""
    if raw is None:
        return None
    return "" if raw == b"-" else _text(raw).replace('\\"', '"')

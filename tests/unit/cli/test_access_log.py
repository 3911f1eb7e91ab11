"""Access-log lines: what is taken, what is skipped and why, and ids that survive a second import."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cli.access_log import LINE_MAX_BYTES, Hit, Report, Skip, hits, import_id_of, open_log, parse
from edge.imports import IMPORT_ID
from recount.errors import InvalidInput

KEY = b"a key of these tests"
COMBINED = (
    b'192.0.2.7 - - [17/May/2015:10:05:03 +0200] "GET /blog/?page=2 HTTP/1.1" 200 5120 '
    b'"https://search.example/?q=a" "Mozilla/5.0 (X11; Linux) \\"quoted\\""'
)
COMMON = b'2001:db8::1 - frank [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 304 -'


def line(method: bytes = b"GET", path: bytes = b"/", status: bytes = b"200") -> bytes:
    return b'192.0.2.7 - - [17/May/2015:10:05:03 +0000] "%s %s HTTP/1.1" %s 12 "-" "curl/8"' % (
        method,
        path,
        status,
    )


def test_a_combined_line_becomes_a_hit() -> None:
    assert parse(COMBINED) == Hit(
        ts=1431849903000,
        ip="192.0.2.7",
        path="/blog/?page=2",
        referrer="https://search.example/?q=a",
        ua='Mozilla/5.0 (X11; Linux) "quoted"',
    )


def test_a_dash_says_that_a_header_was_not_sent() -> None:
    hit = parse(line().replace(b'"curl/8"', b'"-"'))
    assert isinstance(hit, Hit)
    assert (hit.referrer, hit.ua) == ("", "")


def test_a_common_line_has_neither_referrer_nor_user_agent() -> None:
    assert parse(COMMON) == Hit(1431857103000, "2001:db8::1", "/", None, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line(method=b"POST"), Skip.METHOD),
        (line(method=b"HEAD"), Skip.METHOD),
        (line(status=b"404"), Skip.ERROR),
        (line(status=b"301"), Skip.ERROR),
        (line(path=b"/a/logo.PNG?v=3"), Skip.ASSET),
        (line(path=b"/site.css"), Skip.ASSET),
    ],
)
def test_a_line_that_is_no_pageview_says_why(text: bytes, reason: Skip) -> None:
    assert parse(text) is reason


@pytest.mark.parametrize("path", [b"/v1.2/notes", b"/page.html", b"/download.php?f=a.zip"])
def test_pages_with_dots_are_pages(path: bytes) -> None:
    assert isinstance(parse(line(path=path)), Hit)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b'192.0.2.7 - - [99/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1',
        b'192.0.2.7 - - [17/May/2015:10:05:03 +0000] "\\x16\\x03\\x01" 200 1',
        line(path=b"/" + b"a" * LINE_MAX_BYTES),
        b"\xff\xfe\x00",
    ],
)
def test_anything_else_is_unparsable(text: bytes) -> None:
    assert parse(text) is None


def test_identical_lines_are_different_events_with_the_same_ids_at_every_import() -> None:
    log = [COMMON + b"\n", COMBINED + b"\r\n", COMMON]
    first = [(number, event_id) for number, event_id, _ in hits(log, Report(), KEY)]
    again = [(number, event_id) for number, event_id, _ in hits(log, Report(), KEY)]
    assert first == again
    assert [number for number, _ in first] == [1, 2, 3]
    assert len({event_id for _, event_id in first}) == 3


def test_ids_tell_nothing_without_the_key() -> None:
    """A line holds an address: who has the ids must not find it by trying."""
    ids = [next(hits([COMMON], Report(), key))[1] for key in (b"", KEY, b"another")]
    assert len(set(ids)) == 3


def test_an_import_is_named_by_how_its_log_begins_and_by_its_site() -> None:
    named = {import_id_of(first, site, KEY) for first in (COMMON, COMBINED) for site in ("a", "b")}
    assert len(named) == 4
    assert import_id_of(COMMON, "a", KEY) in named
    assert all(IMPORT_ID.fullmatch(name) for name in named)


def test_the_report_accounts_for_every_line() -> None:
    report = Report()
    taken = list(hits([COMMON, line(path=b"/x.js"), line(method=b"PUT"), b"?", COMBINED], report, KEY))
    assert len(taken) == report.taken == 2
    assert report.lines == report.taken + sum(report.skipped.values()) + report.unparsable == 5
    assert report.unparsable_lines == [4]


def test_gzip_is_recognised_by_its_content(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.log", tmp_path / "b.log"
    plain.write_bytes(COMMON)
    packed.write_bytes(gzip.compress(COMMON))
    for path in (plain, packed):
        with open_log(str(path)) as log:
            assert list(log.lines) == [COMMON]
            assert log.position() == log.size_bytes == path.stat().st_size


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"), open_log(str(tmp_path / "no.log")):
        pass

"""What can be told of records that cannot be read."""

from __future__ import annotations

import pytest

from recount.glimpse import Glimpse, glimpse
from tests.made import TS, value


def test_everything_of_a_record_that_only_has_another_version() -> None:
    seen = glimpse(value(v=9))
    assert seen == Glimpse("demo", TS, "s", 7)
    assert seen.hour == "2026-09-21T15"


@pytest.mark.parametrize("bad", [b"", b"[1]", b'{"site":', b"\xff\xfe", b"7"])
def test_nothing_of_what_is_no_object(bad: bytes) -> None:
    assert glimpse(bad) == Glimpse()


def test_a_wrong_field_hides_no_other() -> None:
    record = b'{"site":"demo","ts":"noon","spool":["s"],"seq":-1,"visitor":3}'
    assert glimpse(record) == Glimpse(site="demo")
    assert glimpse(b'{"site":"%b","seq":3}' % (b"x" * 65)) == Glimpse(seq=3)
    assert glimpse(b'{"ts":99999999999999}').hour is None

"""Portions hold every site once, in order; what is worked on in threads comes back in order."""

from __future__ import annotations

import threading

import pytest

from recount.parallel import in_order
from recount.publishing.portions import portions
from recount.store.objects import SiteRange


def test_portions_hold_every_site_once_and_about_so_many_rows() -> None:
    rows = {"d": 9, "a": 1, "c": 4, "b": 6, "e": 1}
    found = list(portions(rows, 6))
    assert found == [SiteRange("", "c"), SiteRange("c", "e"), SiteRange("e")]
    assert [site for portion in found for site in portion.of(sorted(rows))] == sorted(rows)
    assert list(portions(rows)) == [SiteRange("")]
    assert list(portions({})) == []


def test_results_come_in_order_and_no_more_are_begun_than_are_asked_for() -> None:
    begun = []
    first_may_end = threading.Event()

    def work(n: int) -> int:
        begun.append(n)
        if n == 0:
            first_may_end.wait(30)
        else:
            first_may_end.set()
        return n * n

    found = in_order(work, range(100), workers=2)
    assert next(found) == 0
    assert max(begun) < 10
    assert list(found) == [n * n for n in range(1, 100)]


def test_what_fails_is_raised_where_its_result_is_asked_for() -> None:
    found = in_order(lambda n: 1 // n, [1, 0], workers=2)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)

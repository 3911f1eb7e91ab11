"""Sites in portions: memory stays bounded, and every core has something to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from recount.store.objects import SiteRange

ROWS_AT_ONCE: Final = 250_000


def portions(rows_of_site: Mapping[str, int], rows_max: int | None = None) -> Iterator[SiteRange]:
    """Ranges that hold every site, of about `rows_max` rows (ROWS_AT_ONCE) each, in the order of names."""
    most = ROWS_AT_ONCE if rows_max is None else rows_max
    first, rows = "", 0
    for site in sorted(rows_of_site):
        if rows >= most:
            yield SiteRange(first, site)
            first, rows = site, 0
        rows += rows_of_site[site]
    if rows_of_site:
        yield SiteRange(first)

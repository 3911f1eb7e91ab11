"""The copy of the catalog: fresh enough, and kept while the catalog is away."""

from __future__ import annotations

from recount.errors import Unavailable
from recount.store.catalog import Site
from streaming.sites import LOOK_AGAIN_S, REFRESH_S, SitesCache

ONE, TWO = Site(id="one", domain="one.example"), Site(id="two", domain="two.example")


class Shelf:
    """A catalog and a clock."""

    def __init__(self) -> None:
        self.sites = {"one": ONE}
        self.away = False
        self.loads = 0
        self.now = 0.0

    def load(self) -> dict[str, Site]:
        self.loads += 1
        if self.away:
            raise Unavailable("dynamodb", "gone")
        return dict(self.sites)


def test_it_is_read_again_now_and_then() -> None:
    shelf = Shelf()
    cache = SitesCache(shelf.load, lambda: shelf.now)
    assert cache.get("one") == ONE
    cache.known(["one"])
    assert shelf.loads == 1
    shelf.now += REFRESH_S + 1
    cache.known()
    assert shelf.loads == 2


def test_an_unknown_site_is_looked_for_but_not_at_every_question() -> None:
    shelf = Shelf()
    cache = SitesCache(shelf.load, lambda: shelf.now)
    assert cache.get("two") is None
    shelf.sites["two"] = TWO
    assert cache.get("two") is None
    assert shelf.loads == 1
    shelf.now += LOOK_AGAIN_S * 2
    assert cache.get("two") == TWO


def test_the_copy_serves_while_the_catalog_is_away() -> None:
    shelf = Shelf()
    cache = SitesCache(shelf.load, lambda: shelf.now)
    assert cache.loaded
    shelf.away, shelf.now = True, REFRESH_S + 1
    assert cache.get("one") == ONE


def test_it_is_not_loaded_before_the_catalog_answers() -> None:
    shelf = Shelf()
    shelf.away = True
    cache = SitesCache(shelf.load, lambda: shelf.now)
    assert not cache.loaded
    shelf.away, shelf.now = False, LOOK_AGAIN_S * 2
    assert cache.loaded

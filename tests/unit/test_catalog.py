"""Sites, tokens, secrets and salts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from recount.errors import Conflict, InvalidInput
from recount.store.catalog import Catalog, Goal, Site, token_allows
from recount.store.memory_table import MemoryTable
from recount.store.salts import Salts, visitor_hash

SITE = Site(id="shop", domain="shop.example", goals=(Goal(name="Bought", event="purchase"),))


def test_a_site_comes_back_as_it_was_added() -> None:
    catalog = Catalog(MemoryTable())
    catalog.add(SITE)
    assert catalog.get("shop") == SITE
    assert catalog.sites() == {"shop": SITE}
    assert catalog.get("other") is None


def test_a_taken_id_is_a_conflict() -> None:
    catalog = Catalog(MemoryTable())
    catalog.add(SITE)
    with pytest.raises(Conflict, match="'shop' exists already"):
        catalog.add(SITE)


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", "a b"), ("id", ""), ("timezone", "Mars/Olympus"), ("spread", 0), ("currency", "euro")],
)
def test_a_bad_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        Catalog(MemoryTable()).add(replace(SITE, **{field: value}))
    assert caught.value.field == field


def test_a_site_cannot_take_an_address_of_the_dashboard() -> None:
    with pytest.raises(InvalidInput, match="'operator' is an address") as caught:
        Catalog(MemoryTable()).add(Site(id="operator", domain="operator.example"))
    assert caught.value.field == "id"


def test_own_hostnames_include_the_www_form() -> None:
    assert replace(SITE, hostnames=("m.shop.example",)).own_hostnames == {
        *("shop.example", "www.shop.example", "m.shop.example", "www.m.shop.example")
    }


def test_a_token_opens_its_own_site_only_and_is_not_kept() -> None:
    table = MemoryTable()
    token = Catalog(table).new_token("shop")
    tokens = Catalog(table).tokens()
    assert token_allows(tokens, token, "shop")
    assert not token_allows(tokens, token, "other")
    assert not token_allows(tokens, "rt_guess", "shop")
    assert all(token not in str(item) for item in table.scan())


def test_a_secret_is_made_once() -> None:
    table = MemoryTable()
    assert Catalog(table).secret("ids") == Catalog(table).secret("ids") != Catalog(table).secret("other")


def test_every_process_gets_the_same_salt_until_it_is_destroyed() -> None:
    table = MemoryTable()
    salt = Salts(table).of("shop", "2026-01-01")
    assert Salts(table).of("shop", "2026-01-01") == salt
    assert Salts(table).of("shop", "2026-01-02") != salt
    Salts(table).destroy("shop", "2026-01-01")
    assert Salts(table).of("shop", "2026-01-01") != salt


def test_old_salts_go_and_imports_keep_theirs() -> None:
    salts = Salts(MemoryTable())
    for day in ("2026-01-01", "2026-01-02", "2026-01-03", "0import/2025-01-01"):
        salts.of("shop", day)
    assert salts.destroy_before("shop", "2026-01-03") == 2
    assert salts.destroy_before("shop", "2026-01-03") == 0


def test_a_visitor_is_the_same_only_with_the_same_salt_site_address_and_agent() -> None:
    hashes = {
        visitor_hash(salt, site, address, ua)
        for salt in (b"a" * 32, b"b" * 32)
        for site in ("x", "y")
        for address in ("192.0.2.1", "192.0.2.2")
        for ua in ("one", "two")
    }
    assert len(hashes) == 16
    assert visitor_hash(b"a" * 32, "x", "192.0.2.1", "one") in hashes


def test_a_narrower_spread_does_not_forget_where_older_events_lie() -> None:
    catalog = Catalog(MemoryTable())
    catalog.add(replace(SITE, spread=4))
    catalog.update(replace(SITE, spread=2))
    catalog.update(SITE)
    found = catalog.get("shop")
    assert found is not None
    assert (found.spread, found.reach) == (1, 4)


def test_a_salt_asked_for_by_many_at_once_is_one() -> None:
    salts = Salts(MemoryTable())
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: salts.of("shop", "2026-11-23"), range(64)))
    assert len(found) == 1

from __future__ import annotations

import pytest

from recount.errors import InvalidInput
from recount.store.catalog import Catalog, Site
from recount.store.table import Table
from recount.store.tokens import DAY_MS, PREFIX, SITE_PREFIX, Tokens, expiry
from tests.contract import tables

NOW = 1_795_442_400_000


@pytest.fixture(params=tables.KINDS)
def table(request: pytest.FixtureRequest) -> Table:
    return tables.make(request)


@pytest.fixture
def store(table: Table) -> Tokens:
    return Tokens(table)


def test_a_token_opens_what_it_was_made_for(store: Tokens) -> None:
    made, secret = store.add("Grafana", ["shop", "demo", "demo"], ["stats:read"], now_ms=NOW)
    assert secret.startswith(PREFIX)
    assert store.find(secret) == made
    assert (made.sites, made.scopes, made.state(NOW)) == (("demo", "shop"), ("stats:read",), "active")
    assert store.find(secret + "x") is None
    assert store.find("") is None


def test_no_secret_is_kept(store: Tokens, table: Table) -> None:
    _, secret = store.add("Grafana", ["demo"], ["export"], now_ms=NOW)
    assert secret.removeprefix(PREFIX) not in repr(list(table.scan()))


def test_expiry(store: Tokens) -> None:
    made, _ = store.add("n", ["demo"], ["export"], now_ms=NOW, expires_ms=expiry("90d", NOW))
    assert made.state(NOW + 90 * DAY_MS - 1) == "active"
    assert made.state(NOW + 90 * DAY_MS) == "expired"


def test_a_revoked_token_stays_revoked_while_it_is_used(store: Tokens) -> None:
    made, secret = store.add("n", ["demo"], ["stats:read"], now_ms=NOW)
    revoked = store.revoke(made.id, NOW + 1)
    store.used(secret, NOW + 2)
    assert store.find(secret) == revoked
    assert revoked.state(NOW + 3) == "revoked"
    assert store.revoke(made.id, NOW + 9) == revoked
    assert store.all() == [(revoked, NOW + 2)]


def test_they_are_listed_oldest_first(store: Tokens) -> None:
    second, _ = store.add("second", ["demo"], ["export"], now_ms=NOW + 1)
    first, _ = store.add("first", ["demo"], ["export"], now_ms=NOW)
    assert store.all() == [(first, None), (second, None)]


@pytest.mark.parametrize("unknown", ["", "nobody", "x" * 100])
def test_revoking_what_is_not_there(store: Tokens, unknown: str) -> None:
    with pytest.raises(InvalidInput, match="no token"):
        store.revoke(unknown, NOW)


@pytest.mark.parametrize(
    ("name", "sites", "scopes", "field"),
    [
        (" ", ["demo"], ["export"], "name"),
        ("a\nb", ["demo"], ["export"], "name"),
        ("n", [], ["export"], "sites"),
        ("n", ["demo"], [], "scopes"),
        ("n", ["demo"], ["admin"], "scopes"),
    ],
)
def test_what_cannot_be_made(
    store: Tokens, name: str, sites: list[str], scopes: list[str], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.add(name, sites, scopes, now_ms=NOW)
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["", "90", "0d", "-1d", "9999d", "1y"])
def test_lifetimes_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match="lifetime"):
        expiry(text, NOW)


def test_site_tokens_are_others(store: Tokens, table: Table) -> None:
    catalog = Catalog(table)
    catalog.add(Site(id="demo", domain="demo.example"))
    sending = catalog.new_token("demo")
    _, reading = store.add("n", ["demo"], ["stats:read"], now_ms=NOW)
    assert sending.startswith(SITE_PREFIX)
    assert store.find(sending) is None
    assert list(catalog.tokens().values()) == ["demo"]
    assert not reading.startswith(SITE_PREFIX)

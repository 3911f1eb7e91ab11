"""Sites are read seldom, and a new one is found at once."""

from __future__ import annotations

from dashboard_svc.sites import Sites
from recount.store.catalog import Catalog, Site
from recount.store.memory_table import MemoryTable


def test_sites_are_kept_and_a_new_one_is_found() -> None:
    catalog = Catalog(MemoryTable())
    catalog.add(Site(id="a", domain="a.example"))
    sites = Sites(catalog, kept_s=1000)
    assert set(sites.all()) == {"a"}
    catalog.add(Site(id="b", domain="b.example"))
    assert set(sites.all()) == {"a"}
    assert sites.get("b") is not None
    assert sites.get("c") is None
    assert set(sites.read()) == {"a", "b"}
    assert set(sites.all()) == {"a", "b"}

"""Where an address is: country, region, kind of network. The one interpretation that cannot wait, because the
address itself is thrown away at the door.

Without a MaxMind file only the country is known, from the table inside the package iptocc (what the regional
registries assigned, refreshed with the package); `network` then stays unknown.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import iptocc

from recount.errors import SetupError

CACHED_ADDRESSES: Final = 65_536


class Place(NamedTuple):
    """ISO 3166-1 country, ISO 3166-2 region without the country, `hosting` or another kind; None: unknown."""

    country: str | None = None
    region: str | None = None
    network: str | None = None


class Geo(Protocol):
    def __call__(self, address: str) -> Place: ...


def open_geo(file: str) -> Geo:
    """The lookup of a deployment: the MaxMind file where there is one, else the built-in table."""
    return lru_cache(CACHED_ADDRESSES)(_maxmind(Path(file)) if file else _registry)


def _registry(address: str) -> Place:
    return Place(iptocc.country_code(address))


def _maxmind(path: Path) -> Geo:
    import maxminddb

    try:
        reader = maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise SetupError(
            "geoip", f"{path}: {error}", "give a MaxMind database in RECOUNT_GEOIP_FILE"
        ) from error

    def look_up(address: str) -> Place:
        found: Any = reader.get(address) if address else None
        return _place(found) if isinstance(found, dict) else Place()

    return look_up


def _place(record: dict[str, Any]) -> Place:
    country = record.get("country") or record.get("registered_country") or {}
    regions = record.get("subdivisions") or [{}]
    traits = record.get("traits") or {}
    network = "hosting" if traits.get("is_hosting_provider") else traits.get("user_type")
    return Place(country.get("iso_code"), regions[0].get("iso_code"), network)

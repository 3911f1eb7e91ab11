"""Country of an address; the rest only where there is a source for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.geo import Place, _place, open_geo
from recount.errors import SetupError


def test_countries_come_with_the_package() -> None:
    geo = open_geo("")
    assert geo("8.8.8.8") == Place("US")
    assert geo("2a00:1450::1") == Place("IE")
    for address in ("127.0.0.1", "10.0.0.1", "::1", "", "nonsense"):
        assert geo(address) == Place()


def test_a_maxmind_file_that_is_none_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="MaxMind"):
        open_geo(str(tmp_path / "missing.mmdb"))
    (tmp_path / "bad.mmdb").write_bytes(b"no database")
    with pytest.raises(SetupError, match="MaxMind"):
        open_geo(str(tmp_path / "bad.mmdb"))


def test_records_of_maxmind_databases() -> None:
    assert _place({"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BE"}]}) == Place("DE", "BE")
    assert _place({"registered_country": {"iso_code": "FR"}, "traits": {"user_type": "residential"}}) == (
        Place("FR", None, "residential")
    )
    assert _place({"traits": {"is_hosting_provider": True, "user_type": "business"}}).network == "hosting"
    assert _place({}) == Place()

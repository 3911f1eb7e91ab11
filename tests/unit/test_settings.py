"""Settings come from the environment, whole or with a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from recount.errors import SetupError
from recount.settings import Settings


def test_settings_survive_the_way_through_the_environment() -> None:
    settings = Settings(state=Path("/tmp/elsewhere"), kafka_partitions=3, trusted_proxies="127.0.0.1")
    assert Settings.from_env(settings.to_env()) == settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_a_bad_number_names_its_variable() -> None:
    with pytest.raises(SetupError, match="RECOUNT_INGEST_PORT='eighty'"):
        Settings.from_env({"RECOUNT_INGEST_PORT": "eighty"})

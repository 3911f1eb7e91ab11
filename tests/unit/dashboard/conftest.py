"""A dashboard on a fake of the store."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from dashboard_svc.app import create_app
from recount.store.catalog import Site
from tests.unit.dashboard.fake import FakeAnswerer, services

SITES = (
    Site(id="demo", domain="demo.example"),
    Site(id="log", domain="old.example"),
    Site(id="new", domain="new.example"),
)


@pytest.fixture
def answerer() -> FakeAnswerer:
    return FakeAnswerer()


@pytest.fixture
def client(answerer: FakeAnswerer) -> FlaskClient:
    return create_app(services(answerer, *SITES)).test_client()

"""The API's description says what its parser takes, what its routes are, and reads as a page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard_svc.api.openapi import document
from dashboard_svc.api.reference import DOCUMENT, PAGE
from dashboard_svc.app import create_app
from dashboard_svc.problem_types import TYPES
from recount.querying import query as asked
from tests.unit.dashboard.fake import FakeAnswerer, services


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return document(tokens_required=False)


def test_it_has_the_fields_that_the_parser_takes(api: dict[str, Any]) -> None:
    schemas = api["components"]["schemas"]
    fields = schemas["Query"]["properties"]
    assert tuple(fields) == asked.FIELDS
    assert schemas["Metric"]["enum"] == list(asked.METRICS)
    assert schemas["Dimension"]["anyOf"][0]["enum"] == list(asked.DIMENSIONS)
    assert schemas["Filter"]["properties"]["operator"]["enum"] == list(asked.OPERATORS)
    assert fields["interval"]["enum"] == [*asked.INTERVALS, None]
    assert fields["limit"]["maximum"] == asked.LIMIT_MAX
    assert fields["offset"]["maximum"] == asked.OFFSET_MAX
    assert fields["filters"]["maxItems"] == asked.FILTERS_MAX
    assert fields["compare"]["anyOf"][0]["enum"] == list(asked.COMPARISONS)
    in_address = {one["name"] for one in api["paths"]["/api/v1/query"]["get"]["parameters"]}
    assert in_address == {*asked.FIELDS, "g"} - {"explain"}


def test_it_has_every_route_of_the_api(api: dict[str, Any]) -> None:
    """But those that describe it."""
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", "{}", rule.rule), method.lower())
        for rule in create_app(services(FakeAnswerer())).url_map.iter_rules()
        if rule.rule.startswith("/api/") and rule.rule not in (DOCUMENT, PAGE)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (re.sub(r"\{\w+\}", "{}", path), method)
        for path, methods in api["paths"].items()
        for method in methods
    }
    assert described == routes


def test_every_reference_leads_somewhere(api: dict[str, Any]) -> None:
    names = set(re.findall(r"'#/components/(\w+)/([\w-]+)'", repr(api)))
    assert names
    assert [name for kind, name in names if name not in api["components"][kind]] == []


def test_tokens_are_required_or_not() -> None:
    assert document(tokens_required=True)["security"] == [{"token": []}]
    assert document(tokens_required=False)["security"] == [{}, {"token": []}]


def test_it_reads_as_a_page_without_anything_from_elsewhere(client: FlaskClient, api: dict[str, Any]) -> None:
    answer = client.get(PAGE)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    for path in api["paths"]:
        assert path in page
    for name in (*asked.FIELDS, *asked.METRICS, *asked.DIMENSIONS):
        assert f"<code>{name}</code>" in page
    anchors = set(re.findall(r'href="#(\w+)"', page)) - {"main"}
    assert anchors <= set(re.findall(r'id="([\w-]+)"', page))
    assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []
    assert "<style" not in page
    assert "style=" not in page


@pytest.mark.parametrize("kind", TYPES)
def test_the_type_of_a_problem_leads_to_a_page(client: FlaskClient, kind: str) -> None:
    page = client.get(TYPES[kind].path)
    assert page.status_code == 200
    assert TYPES[kind].title in page.get_data(as_text=True)


def test_a_type_that_is_none(client: FlaskClient) -> None:
    assert client.get("/problems/nonsense").status_code == 404

"""Whatever is asked, the API answers as its description says; what it does not take is a 4xx, never a 500."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from dashboard_svc.api.openapi import document
from dashboard_svc.app import create_app
from tests.unit.dashboard.conftest import SITES
from tests.unit.dashboard.fake import FakeAnswerer, services

EXAMPLES: Final = 25
KNOWN: Final = {"type": "string", "enum": [site.id for site in SITES]}


def known_sites(api: dict[str, Any]) -> dict[str, Any]:
    """The document with the sites that there are: else next to every question is about one that is not."""
    api["components"]["schemas"]["Query"]["properties"]["site"] = KNOWN
    for operations in api["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["name"] == "site":
                    parameter["schema"] = KNOWN
    return api


API: Final = document(tokens_required=False)
OPERATIONS: Final = [(path, method) for path, operations in API["paths"].items() for method in operations]
TAKING: Final = [  # something that could be wrong
    (path, method)
    for path, method in OPERATIONS
    if API["paths"][path][method]["parameters"] or "requestBody" in API["paths"][path][method]
]


@pytest.fixture(scope="module")
def described() -> Any:
    app = create_app(services(FakeAnswerer(), *SITES))

    def served(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return app.wsgi_app(environ | {"REMOTE_ADDR": "127.0.0.1"}, start_response)

    schema = schemathesis.openapi.from_dict(known_sites(document(tokens_required=False)))
    schema.app = served
    return schema


def bounded(test: Callable[..., None]) -> Callable[..., None]:
    """Few examples, the same in every run."""
    quick = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    return quick(test)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_questions_are_answered_as_described(described: Any, path: str, method: str) -> None:
    """A schema cannot say everything: that a range ends after it begins, that a filter can be answered. What
    is refused for such a reason is refused with the field at fault."""

    @given(case=described[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    @bounded
    def conforms(case: schemathesis.Case[Any]) -> None:
        answer = case.call_and_validate(excluded_checks=[positive_data_acceptance])
        assert answer.status_code in (200, 302) or (answer.status_code == 400 and answer.json()["field"])

    conforms()


@pytest.mark.parametrize(("path", "method"), TAKING)
def test_what_is_not_taken_is_refused(described: Any, path: str, method: str) -> None:
    @given(case=described[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @bounded
    def conforms(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate()

    conforms()

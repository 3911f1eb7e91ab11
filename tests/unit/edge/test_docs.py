"""docs/ingest.md says what the code does."""

from __future__ import annotations

import re

from deploy.local.layout import ROOT
from edge import ingest
from edge.answers import STATUS
from edge.client_event import ClientEvent
from edge.imports import IMPORT_MAX_EVENTS
from edge.wsgi import QUERY_MAX_CHARS
from recount.event import BATCH_MAX_EVENTS

TEXT = (ROOT / "docs" / "ingest.md").read_text()


def section(title: str) -> str:
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_reason_is_explained_with_its_status() -> None:
    rows = re.findall(r"^\| (`.*?`) \| (\d{3}) \|", section("Refusals"), re.MULTILINE)
    documented = {name: status for names, status in rows for name in re.findall(r"`(\w+)`", names)}
    assert documented == {reason.value: status[:3] for reason, status in STATUS.items()}


def test_every_field_is_explained() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("Fields"), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert documented == set(ClientEvent.__struct_fields__) - {"line"}


def test_limits_are_those_of_the_code() -> None:
    limits = section("Limits")
    for number in (BATCH_MAX_EVENTS, IMPORT_MAX_EVENTS, QUERY_MAX_CHARS, ingest.READING_MAX, ingest.THREADS):
        assert f"{number:,}" in limits

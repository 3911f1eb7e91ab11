"""What the documentation names exists, and what exists is documented."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from cli.main import recount
from dashboard_svc.problem_types import TYPES
from deploy.local.layout import ROOT
from recount.querying.query import DIMENSIONS, METRICS
from recount.reasons import Reason
from recount.settings import Settings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text())
    targets = [(page.parent / link if link else page, anchor) for link, anchor in links]
    assert [target for target, _ in targets if not target.exists()] == []
    assert [(target, anchor) for target, anchor in targets if anchor and anchor not in anchors(target)] == []


def anchors(page: Path) -> set[str]:
    """What a heading can be linked by: its words in lower case with hyphens, and no other signs."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    text = page.read_text()
    unknown = [line for line in commands_in(text) if not is_known(line.split()[1:])]
    assert unknown == []
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", text)) <= targets


def commands_in(text: str) -> list[str]:
    """Lines of `recount ...`: in code in the text, and in blocks of code, there without a comment."""
    quoted = re.findall(r"`((?:\./)?recount [a-z][^`]*)`", text)
    typed = re.findall(r"^(?:    |\$ )?(\./recount [a-z].*)$", text, re.MULTILINE)
    return [line.replace("\n", " ").split(" #")[0] for line in quoted + typed]


def is_known(words: list[str]) -> bool:
    """Whether the command line has these subcommands, with every option that is named."""
    command: click.Command = recount
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            return command.invoke_without_command
        taken = 1
        if isinstance(found, click.Group):
            taken += sum(isinstance(param, click.Argument) for param in found.params)
        command, words = found, words[taken:]
    known = {option for param in command.params for option in param.opts} | {"-h", "--help"}
    return {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_exist(page: Path) -> None:
    """Those that hold a statement: `tests/file.py` and `tests/file.py::test_name`."""
    for file, name in set(re.findall(r"(tests/[\w/]+\.py)((?:::\w+)*)", page.read_text())):
        text = (ROOT / file).read_text()
        for part in filter(None, name.split("::")):
            assert re.search(rf"(?:def|class) {part}\b", text), f"{file} has no {part}"


def test_every_page_is_found_from_the_readme() -> None:
    readme = PAGES[0].read_text()
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme] == []


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [f.name for f in fields(Settings) if f"RECOUNT_{f.name.upper()}" not in text] == []


def test_every_refusal_is_documented() -> None:
    text = (ROOT / "docs" / "ingest.md").read_text()
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in text] == []


def test_every_metric_and_dimension_is_documented() -> None:
    query = (ROOT / "docs" / "query.md").read_text()
    assert [name for name in METRICS if f"`{name}`" not in query] == []
    dimensions = (ROOT / "docs" / "dimensions.md").read_text()
    assert [name for name in DIMENSIONS if f"`{name}`" not in dimensions] == []


def test_every_problem_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    rows = [f"| `{one.kind}` | {one.status} |" for one in TYPES.values()]
    assert [row for row in rows if row not in text] == []

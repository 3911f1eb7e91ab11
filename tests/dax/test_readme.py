"""The README names what there is, and all of it."""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path

from dax.attribute_lists import LISTS_MAX, AttributeLists
from dax.backend import Backend
from dax.cli import main
from dax.metrics import Exposition, Stats
from dax.node import Node
from dax.settings import Settings
from deploy.local.layout import ROOT

ROOM = ROOT / "dax"
README = (ROOM / "README.md").read_text()


def test_options() -> None:
    serve = main.commands["serve"]
    options = {name for option in serve.params for name in option.opts}
    documented = set(re.findall(r"`(--[a-z-]+)`", README))
    assert options == documented
    variables = {str(option.envvar) for option in serve.params if hasattr(option, "envvar")}
    assert variables == set(re.findall(r"`((?:DAX|AWS)_[A-Z_]+)`", README))


def test_defaults() -> None:
    for row in re.findall(r"^\| `--.*$", README, re.MULTILINE):
        names, _, default, _ = (cell.strip() for cell in row.strip("|").split("|"))
        option = next(o for o in main.commands["serve"].params if o.opts[0] in names)
        if re.fullmatch(r"[0-9]+|[a-z]+-[a-z]+-[0-9]|\.dax", default):
            assert str(option.default).removesuffix(".0") == default


def test_metrics(tmp_path: Path) -> None:
    settings, stats = Settings(endpoint="http://127.0.0.1:9"), Stats()
    lists = AttributeLists(tmp_path)
    node = Node(settings, Backend(settings, stats), lists, stats, time.monotonic)
    text = Exposition(stats, {"item": node.items, "query": node.queries}).text().decode()
    found = set(re.findall(r"^# TYPE (dax_[a-z_]+)", text, re.MULTILINE))
    assert found == set(re.findall(r"`(dax_[a-z_]+)`", README))
    lists.close()


def test_limits() -> None:
    settings = Settings()
    for words in (
        f"{settings.request_max_bytes >> 20} MiB",
        f"{settings.request_max_items:,} items",
        f"{settings.request_timeout_s:g} s from",
        f"{settings.call_timeout_s:g} s a call",
        f"{LISTS_MAX:,} attribute lists",
    ):
        assert words in README


def test_the_package_has_all_its_parts() -> None:
    packaging = tomllib.loads((ROOM / "pyproject.toml").read_text())
    found = {".".join(file.parent.relative_to(ROOT).parts) for file in ROOM.rglob("__init__.py")}
    assert set(packaging["tool"]["setuptools"]["packages"]) == found
    code = "\n".join(file.read_text() for file in ROOM.rglob("*.py"))
    imported = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))
    named = {re.split(r"[>=<]", line)[0].replace("-", "_") for line in packaging["project"]["dependencies"]}
    assert named <= imported

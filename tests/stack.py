"""A stack for tests: the code of `recount up`, in a folder and on ports of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.local.layout import ROOT, Manifest
from deploy.local.ports import free_settings
from deploy.local.status import as_json, take
from deploy.local.supervise import python_path
from deploy.local.up import Stack
from recount.settings import Settings


class TestStack:
    """Parts of one stack, started when first needed."""

    __test__ = False  # not a test, whatever its name

    def __init__(self, folder: Path, changes: Mapping[str, str] | None = None) -> None:
        """`changes`: RECOUNT_* variables that differ from the usual ones."""
        self.folder = folder
        self._changes = dict(changes or {})
        self._started: set[str] = set()

    @cached_property
    def manifest(self) -> Manifest:
        return Manifest(free_settings(self.folder / "state").to_env() | self._changes)

    @cached_property
    def stack(self) -> Stack:
        return Stack(self.manifest, with_parent=True)

    @property
    def settings(self) -> Settings:
        return self.manifest.settings

    def need(self, *parts: str) -> None:
        """Start these parts unless they run, and wait until they are healthy."""
        if not self._started.issuperset(parts):
            self.stack.up(parts)
            self._started.update(parts)

    def need_all(self) -> None:
        self.need(*(part.name for part in self.stack.parts))

    @property
    def status(self) -> Mapping[str, Any]:
        """What `recount status --json` gives."""
        return as_json(take(self.manifest))

    @property
    def urls(self) -> Mapping[str, str]:
        urls: Mapping[str, str] = self.status["urls"]
        return urls

    def recount(self, *arguments: str, input_text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line against this stack."""
        env = {**os.environ, **self.manifest.env, "PYTHONPATH": os.pathsep.join(python_path())}
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=ROOT,
            env=env,
            input=input_text,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def log(self, part: str) -> str:
        """What a part has logged."""
        path = self.stack.layout.log(part)
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        if "manifest" in self.__dict__:
            self.stack.down()

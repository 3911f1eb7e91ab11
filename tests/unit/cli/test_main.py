"""Errors raised on purpose become a message that says what to do."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cli import main
from deploy.local.layout import ROOT
from recount.errors import Unavailable


def test_a_part_that_is_away_comes_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(**_: object) -> None:
        raise Unavailable("dynamodb", "nobody answers")

    monkeypatch.setattr(main, "recount", away)
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "dynamodb" in said
    assert "nobody answers" in said
    assert "make up" in said


def test_the_script_works_in_a_folder_that_has_something_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "cli.py").write_text("raise SystemExit('another program')\n")
    done = subprocess.run(
        [ROOT / "recount", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

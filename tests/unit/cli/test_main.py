"""Errors raised on purpose become a message that says what to do."""

from __future__ import annotations

import pytest

from cli import main
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

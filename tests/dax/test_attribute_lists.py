"""Numbers of attribute lists, which must never come to mean other names."""

from __future__ import annotations

from pathlib import Path

import pytest

from dax.attribute_lists import EMPTY_ID, FILE, AttributeLists, number_of
from dax.errors import Refusal, SetupError


def test_a_list_keeps_its_number_over_restarts_and_on_every_node(tmp_path: Path) -> None:
    first = AttributeLists(tmp_path / "one")
    numbers = [first.number(names) for names in (["a", "b"], ["b", "a"], ["ä"], [])]
    assert len(set(numbers)) == 4
    first.close()
    again, other = AttributeLists(tmp_path / "one"), AttributeLists(tmp_path / "two")
    assert again.names(numbers[0]) == ("a", "b")
    assert again.names(numbers[1]) == ("b", "a")
    assert other.number(["a", "b"]) == numbers[0]
    again.close()
    other.close()


def test_the_empty_list_is_known(tmp_path: Path) -> None:
    lists = AttributeLists(tmp_path)
    assert (lists.number([]), lists.names(EMPTY_ID)) == (EMPTY_ID, ())
    lists.close()


def test_numbers_do_not_change_with_versions() -> None:
    assert number_of(["a", "b"]) == 1238323108254256795


def test_a_number_that_no_client_was_given(tmp_path: Path) -> None:
    lists = AttributeLists(tmp_path)
    with pytest.raises(Refusal, match="unknown to this node"):
        lists.names(7)
    lists.close()


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    lists = AttributeLists(tmp_path)
    kept, lost = lists.number(["a"]), lists.number(["b"])
    lists.close()
    file = tmp_path / FILE
    file.write_bytes(file.read_bytes()[:-3])
    again = AttributeLists(tmp_path)
    assert again.names(kept) == ("a",)
    assert again.number(["b"]) == lost
    again.close()
    once_more = AttributeLists(tmp_path)
    assert once_more.names(lost) == ("b",)
    once_more.close()


@pytest.mark.parametrize("line", [b'[5, ["a"]]', b"{}", b"[1]", b"nonsense", b'["x", 3]'])
def test_a_damaged_file_stops_the_node(tmp_path: Path, line: bytes) -> None:
    (tmp_path / FILE).write_bytes(line + b"\n")
    with pytest.raises(SetupError, match=r"line 1 of .* is damaged"):
        AttributeLists(tmp_path)


def test_a_folder_belongs_to_one_node(tmp_path: Path) -> None:
    lists = AttributeLists(tmp_path)
    with pytest.raises(SetupError, match="another node"):
        AttributeLists(tmp_path)
    lists.close()
    AttributeLists(tmp_path).close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot be used"):
        AttributeLists(tmp_path / "file")

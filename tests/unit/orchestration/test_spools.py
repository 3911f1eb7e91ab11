"""What the cut is told about spools: the truth, or silence; never "all shipped" by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestration.spools import DirectorySpools, Lost, Place, SpoolReport, Unshipped
from recount.discovery import FileDirectory, Instance

SHIPPER = Instance("shipper", "shipper-1", "127.0.0.1", 8070)
INGEST = Instance("ingest", "ingest-1", "127.0.0.1", 8080, {"spool": "aaa"})


@pytest.fixture
def directory(tmp_path: Path) -> FileDirectory:
    made = FileDirectory(tmp_path)
    made.register(SHIPPER)
    made.register(INGEST)
    return made


def answer(monkeypatch: pytest.MonkeyPatch, bodies: dict[str, Any]) -> None:
    """Each URL gives its body as JSON, a number as a status, and nothing else answers."""

    def get(url: str, **_: object) -> httpx.Response:
        body = bodies.get(url)
        request = httpx.Request("GET", url)
        if body is None:
            raise httpx.ConnectError("refused", request=request)
        if isinstance(body, int):
            return httpx.Response(body, request=request)
        return httpx.Response(200, json=body, request=request)

    monkeypatch.setattr(httpx, "get", get)


def entry(spool: str, shipped: int | None, oldest: int | None) -> dict[str, Any]:
    return {"spool": spool, "shipped_seq": shipped, "oldest_unshipped_ms": oldest, "waiting_bytes": 9}


def test_every_spool_once_with_the_report_that_promises_less(
    directory: FileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(
        monkeypatch,
        {
            f"{SHIPPER.url}/v1/spools": {"spools": [entry("aaa", 9, None), entry("bbb", None, 7)]},
            f"{INGEST.url}/v1/spool": entry("aaa", 8, 1_000),
        },
    )
    assert DirectorySpools(directory).reports() == [SpoolReport("aaa", 8, 1_000), SpoolReport("bbb", None, 7)]


@pytest.mark.parametrize("body", [None, 503, "no object", {"spool": 3}])
def test_an_instance_without_a_usable_answer_is_silent(
    directory: FileDirectory, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    answer(
        monkeypatch,
        {f"{SHIPPER.url}/v1/spools": {"spools": [entry("aaa", 9, None)]}, f"{INGEST.url}/v1/spool": body},
    )
    assert DirectorySpools(directory).reports() == [SpoolReport("aaa", silent=True)]


def test_a_silent_shipper_is_waited_for_too(
    directory: FileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, {f"{INGEST.url}/v1/spool": entry("aaa", 8, None)})
    assert DirectorySpools(directory).reports() == [
        SpoolReport("aaa", 8, None),
        SpoolReport("shipper-1", silent=True),
    ]


def test_nobody_in_the_directory_means_nothing_to_wait_for(tmp_path: Path) -> None:
    assert DirectorySpools(FileDirectory(tmp_path)).reports() == []


def test_what_is_not_shipped_comes_from_every_shipper_that_answers(
    directory: FileDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Instance("shipper", "shipper-2", "127.0.0.1", 8071)
    silent = Instance("shipper", "shipper-3", "127.0.0.1", 8072)
    directory.register(second)
    directory.register(silent)
    place = {"spool": "aaa", "hour": "2026-09-21T15", "site": "demo", "seqs": [4, 5]}
    lost = {"spool": "bbb", "first": 3, "last": 4, "cause": "damaged"}
    path = "/v1/spools/unshipped?before_ms=77"
    answer(
        monkeypatch,
        {
            f"{SHIPPER.url}{path}": {"waiting": [place], "unnamed": 2, "set_aside": []},
            f"{second.url}{path}": {"waiting": [], "unnamed": 3, "set_aside": [place]},
            f"{second.url}/v1/spools": {"spools": [], "quarantined": [lost]},
        },
    )
    spools = DirectorySpools(directory)
    known = Place("aaa", "2026-09-21T15", "demo", [4, 5])
    assert spools.unshipped(77) == Unshipped(waiting=[known], unnamed=5, set_aside=[known])
    assert spools.lost() == [Lost("bbb", 3, 4, "damaged")]

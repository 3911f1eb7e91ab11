"""Tests of settings for a stack beside others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy.local.ports import free_settings, with_free_ports
from recount.settings import Settings


def test_every_usual_port_is_replaced(tmp_path: Path) -> None:
    usual, free = Settings().to_env(), free_settings(tmp_path).to_env()
    kept = [name for name, value in usual.items() if name.endswith("_PORT") and free[name] == value]
    assert kept == []
    assert free["RECOUNT_KAFKA"] != usual["RECOUNT_KAFKA"]


def test_what_somebody_chose_stays(tmp_path: Path) -> None:
    chosen = replace(
        Settings(),
        state=tmp_path,
        dashboard_port=9_123,
        dax="",
        spool_fsync="group",
        grace_s=1,
        event_slots=8,
    )
    free = with_free_ports(chosen)
    assert (free.dashboard_port, free.dax, free.spool_fsync) == (9_123, "", "group")
    assert (free.grace_s, free.event_slots, free.state) == (1, 8, tmp_path)
    assert free.ingest_port != Settings().ingest_port

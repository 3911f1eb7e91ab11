"""Where a stack is reached while its front is not open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy.local.front import collecting_url, dagster_url, reading_url
from deploy.local.ports import free_settings


def test_without_a_front_the_services_are_reached_on_their_own_ports(tmp_path: Path) -> None:
    settings = free_settings(tmp_path)
    assert collecting_url(settings) == f"http://127.0.0.1:{settings.ingest_port}"
    assert reading_url(settings) == f"http://127.0.0.1:{settings.dashboard_port}"
    assert dagster_url(settings) == f"http://127.0.0.1:{settings.dagster_port}/dagster"


def test_a_name_that_was_given_is_what_visitors_are_told(tmp_path: Path) -> None:
    settings = replace(free_settings(tmp_path), front_url="https://stats.example.com")
    assert collecting_url(settings) == "https://stats.example.com"

"""The local stack itself: its storage parts, its control, and what it says of itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import boto3
import psutil
import pytest
from confluent_kafka.admin import AdminClient

from deploy.local import leftovers
from deploy.local.layout import Manifest
from deploy.local.parts import Part, Probe, all_parts
from deploy.local.ports import free_settings
from deploy.local.preflight import check_memory, check_ports, port_is_free
from deploy.local.up import Stack, with_needs
from recount.errors import SetupError
from recount.settings import Settings
from tests.stack import TestStack
from tests.waiting import eventually


def listeners(process: psutil.Process) -> set[str]:
    return {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}


def test_storage_parts_answer(stack_parts: TestStack, kafka: str, dynamodb: str, cloudwatch: str) -> None:
    stack_parts.need("kafka", "dynamodb", "cloudwatch")
    assert AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).brokers
    for service, url, operation in (
        ("dynamodb", dynamodb, "list_tables"),
        ("cloudwatch", cloudwatch, "list_metrics"),
    ):
        client = boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=url,
            region_name="eu-central-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        assert getattr(client, operation)()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_everything_listens_on_loopback_only(
    stack_parts: TestStack, kafka: str, dynamodb: str, cloudwatch: str
) -> None:
    loopback = {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    for process in leftovers.processes_of(stack_parts.stack.layout.state):
        assert listeners(process) <= loopback, process.cmdline()


def test_status_names_every_part_and_says_which_do_not_run(stack_parts: TestStack, kafka: str) -> None:
    done = stack_parts.recount("status", "--json")
    assert done.returncode in (0, 3), done.stderr
    names = [part["name"] for part in stack_parts.status["parts"]]
    assert names[:3] == ["kafka", "dynamodb", "cloudwatch"]
    assert "dax" in names
    assert next(p for p in stack_parts.status["parts"] if p["name"] == "kafka")["healthy"]
    assert stack_parts.urls["kafka"] == kafka


def test_a_killed_part_comes_back(stack_parts: TestStack, cloudwatch: str) -> None:
    before = stack_parts.stack.control.running()["cloudwatch"].pids
    os.kill(before[0], signal.SIGKILL)
    eventually(
        lambda: (now := stack_parts.stack.control.running()["cloudwatch"].pids) and now != before,
        "a new process",
    )
    stack_parts.stack.up(["cloudwatch"])
    assert len(stack_parts.stack.control.running()["cloudwatch"].pids) == 1


def test_instances_are_scaled_in_place_and_the_first_keeps_its_port(stack_parts: TestStack) -> None:
    stack_parts.need("ingest")
    stack = stack_parts.stack
    first = stack_parts.settings.ingest_port
    before = stack.control.running()["ingest"].pids
    stack.scale("ingest", 3)
    try:
        eventually(lambda: all(not port_is_free("127.0.0.1", first + i) for i in range(3)), "three listening")
        assert set(before) < set(stack.control.running()["ingest"].pids)
        detail = next(p["detail"] for p in stack_parts.status["parts"] if p["name"] == "ingest")
        assert f"ports {first}, {first + 1}, {first + 2}" in detail
    finally:
        stack.scale("ingest", 1)
    eventually(lambda: stack.control.running()["ingest"].pids == before, "the first one left")
    eventually(lambda: port_is_free("127.0.0.1", first + 2), "the last one's end")


def test_a_part_that_is_killed_with_its_children_alive_gets_its_port_back(stack_parts: TestStack) -> None:
    stack_parts.need("cloudwatch")
    (parent,) = stack_parts.stack.control.running()["cloudwatch"].pids
    children = psutil.Process(parent).children(recursive=True)
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: not any(child.is_running() for child in children), "the end of what it left behind")
    stack_parts.stack.up(["cloudwatch"])


def test_a_part_comes_from_the_nursery_and_without_it_comes_back_all_the_same(stack_parts: TestStack) -> None:
    stack = stack_parts.stack
    stack_parts.need("nursery", "cloudwatch")

    def process(part: str) -> psutil.Process:
        eventually(lambda: stack.control.running()[part].pids, f"a process of {part}")
        return psutil.Process(stack.control.running()[part].pids[0])

    stack.restart("cloudwatch")
    born, nursery = process("cloudwatch"), process("nursery")
    children = born.children(recursive=True)
    assert children
    assert born.cmdline() == nursery.cmdline()
    nursery.kill()
    born.kill()
    eventually(lambda: not any(child.is_running() for child in children), "the end of what it left behind")
    stack.up(["cloudwatch"])
    assert "deploy.local.cloudwatch" in process("cloudwatch").cmdline()
    stack.up(["nursery"])


def test_up_again_keeps_what_runs(stack_parts: TestStack, kafka: str) -> None:
    before = stack_parts.stack.control.running()["kafka"].pids
    stack_parts.stack.up(["kafka"])
    assert stack_parts.stack.control.running()["kafka"].pids == before


def test_other_settings_are_refused_while_it_runs(stack_parts: TestStack, kafka: str) -> None:
    env = {**os.environ, **stack_parts.manifest.env, "RECOUNT_KAFKA": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "up"], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "RECOUNT_KAFKA" in done.stderr
    assert "recount down" in done.stderr


def test_a_taken_port_is_named_with_its_holder_and_remedy(tmp_path: Path) -> None:
    settings = free_settings(tmp_path / "state")
    stack = Stack(Manifest(settings.to_env()))
    with socket.create_server(("127.0.0.1", settings.ingest_port)), pytest.raises(SetupError) as caught:
        stack.up(["ingest"])
    assert caught.value.part == "ingest"
    assert f"port {settings.ingest_port} is taken by" in caught.value.cause
    assert str(os.getpid()) in caught.value.cause
    assert "RECOUNT_INGEST_PORT" in caught.value.remedy
    assert not stack.control.alive()


def test_two_parts_on_one_port_are_refused() -> None:
    def part(name: str) -> Part:
        return Part(
            name=name,
            module=(),
            probe=Probe.READY,
            port=1,
            port_setting=f"RECOUNT_{name.upper()}",
        )

    with pytest.raises(SetupError, match="also that of first"):
        check_ports("127.0.0.1", [part("first"), part("second")])


def test_a_part_brings_what_it_needs() -> None:
    parts = all_parts(Settings(), {})
    assert [p.name for p in with_needs(parts, ["kafka"])] == ["kafka"]
    assert [p.name for p in with_needs(parts, ["ingest"])] == ["kafka", "dynamodb", "ingest"]
    assert [p.name for p in with_needs(parts, ["dagster-daemon"])] == [
        "dagster-code",
        "dagster-webserver",
        "dagster-daemon",
    ]


def test_dax_needs_dynamodb_and_no_service_needs_dax() -> None:
    parts = all_parts(Settings(), {})
    assert [p.name for p in with_needs(parts, ["dax"])] == ["dynamodb", "dax"]
    assert not any("dax" in (*p.after, *p.beside) for p in parts)


def test_a_stack_without_dax_says_so_when_asked_for_it() -> None:
    parts = all_parts(Settings(dax=""), {})
    with pytest.raises(SetupError, match="RECOUNT_DAX is empty"):
        with_needs(parts, ["dax"])
    with pytest.raises(SetupError, match="RECOUNT_DAX='nowhere'"):
        all_parts(Settings(dax="nowhere"), {})


def test_little_memory_warns_and_too_little_refuses() -> None:
    assert check_memory(8_000_000_000) == []
    assert "2.0 GB" in check_memory(2_000_000_000)[0]
    with pytest.raises(SetupError, match=r"memory: only 0\.5 GB"):
        check_memory(500_000_000)


def test_a_part_that_dies_at_start_is_named_with_its_log(tmp_path: Path) -> None:
    settings = free_settings(tmp_path / "state")
    stack = Stack(Manifest(settings.to_env()))
    data = stack.layout.state / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n")
    with pytest.raises(SetupError) as caught:
        stack.up(["kafka"])
    assert caught.value.part == "kafka"
    assert "node id" in caught.value.cause
    assert "kafka.log" in caught.value.remedy
    assert not stack.control.alive()
    assert leftovers.processes_of(stack.layout.state) == []


def test_down_ends_also_what_lost_its_supervisor(tmp_path: Path) -> None:
    stack = Stack(Manifest(free_settings(tmp_path / "state").to_env()))
    stack.up(["cloudwatch"])
    supervisor = next(
        p
        for p in leftovers.processes_of(stack.layout.state, "supervisor")
        if "deploy.local.supervise" in p.cmdline()
    )
    supervisor.kill()
    eventually(lambda: not stack.control.alive(), "the supervisor's end")
    assert leftovers.processes_of(stack.layout.state)
    assert stack.down()
    assert leftovers.processes_of(stack.layout.state) == []
    assert not stack.down()


def test_status_works_where_nothing_ever_ran(tmp_path: Path) -> None:
    env = {**os.environ, "RECOUNT_STATE": str(tmp_path / "none")}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "status"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3
    assert "not running" in done.stdout
    assert "none yet" in done.stdout


def test_clean_data_asks_and_deletes(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "kept").write_text("x")
    env = {**os.environ, "RECOUNT_STATE": str(state)}
    command = [sys.executable, "-m", "cli", "clean-data"]
    refused = subprocess.run(
        command, env=env, input="n\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode != 0
    assert (state / "kept").exists()
    done = subprocess.run(
        command, env=env, input="y\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not state.exists()

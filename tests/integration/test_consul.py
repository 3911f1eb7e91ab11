"""The directory in a real Consul: checks, an agent that dies, an instance that stops, a long build."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from deploy.local import consul_build
from deploy.local.layout import ROOT, Manifest
from deploy.local.ports import free_settings
from deploy.local.supervise import python_path
from deploy.local.up import Silent, Stack
from recount.discovery import FileDirectory, Instance, JoinedDirectory, Presence, open_directory
from recount.discovery.consul import ConsulDirectory
from recount.settings import Settings
from tests.waiting import eventually

DEADLINE_S = 90.0


def start(settings: Settings, module: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, **settings.to_env(), "PYTHONPATH": os.pathsep.join(python_path())}
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / f"{module}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, env=env, stdout=log, stderr=log)


class Agent:
    """An agent of our own, which may be killed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.start()

    def start(self) -> None:
        self.process = start(self.settings, "deploy.local.consul")
        eventually(self.leads, "the agent leads")

    def leads(self) -> bool:
        try:
            return bool(httpx.get(f"{self.settings.consul}/v1/status/leader").json())
        except (httpx.TransportError, ValueError):
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def services(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.settings.consul}/v1/agent/services").json()
        return found


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    consul_build.build()
    agent = Agent(free_settings(tmp_path_factory.mktemp("consul")))
    yield agent
    agent.kill()


class Ready(BaseHTTPRequestHandler):
    """Answers /readyz as it is told."""

    ready = True

    def do_GET(self) -> None:
        self.send_response(200 if type(self).ready else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[tuple[int, type[Ready]]]:
    handler = type("Handler", (Ready,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.stack
def test_an_instance_is_there_while_it_is_ready(agent: Agent) -> None:
    reader = ConsulDirectory(agent.settings.consul)
    with serving() as (port, handler):
        instance = Instance("ingest", "checked", "127.0.0.1", port, {"spool": "s"})
        with Presence(ConsulDirectory(agent.settings.consul), lambda: instance):
            eventually(lambda: reader.instances("ingest") == [instance], "it is ready")
            handler.ready = False
            eventually(lambda: reader.instances("ingest") == [], "it is not ready")
            handler.ready = True
            eventually(lambda: reader.instances("ingest") == [instance], "it is ready again")
        assert ConsulDirectory(agent.settings.consul).instances("ingest") == []


@pytest.mark.stack
def test_a_dead_instance_leaves_though_its_entry_is_fresh(agent: Agent) -> None:
    reader = ConsulDirectory(agent.settings.consul)
    with serving() as (port, _):
        instance = Instance("ingest", "dies", "127.0.0.1", port)
        writer = ConsulDirectory(agent.settings.consul)

        def seen() -> list[Instance]:
            writer.register(instance)
            return reader.instances("ingest")

        eventually(lambda: seen() == [instance], "it is ready")
    eventually(lambda: seen() == [], "it is gone")
    writer.deregister(instance)


@pytest.mark.stack
def test_changed_metadata_does_not_make_an_instance_unwell(agent: Agent) -> None:
    with serving() as (port, _):
        instance = Instance("live", "moves", "127.0.0.1", port, {"partitions": "0"})
        writer = ConsulDirectory(agent.settings.consul)
        writer.register(instance)
        eventually(
            lambda: ConsulDirectory(agent.settings.consul).instances("live") == [instance], "it is ready"
        )
        for number in range(20):
            moved = replace(instance, meta={"partitions": str(number)})
            writer.register(moved)
            assert ConsulDirectory(agent.settings.consul).instances("live") == [moved]
        writer.deregister(instance)


@pytest.mark.stack
def test_only_what_the_front_may_route_to_says_so(agent: Agent) -> None:
    writer = ConsulDirectory(agent.settings.consul)
    entries = [
        Instance(name, "tagged", "127.0.0.1", 1) for name in ("ingest", "dashboard", "live", "shipper")
    ]
    for instance in entries:
        writer.register(instance)
    tags = {s["Service"]: s["Tags"] for s in agent.services().values() if s["ID"].endswith(":tagged")}
    assert {name for name, found in tags.items() if "traefik.enable=true" in found} == {"ingest", "dashboard"}
    assert (tags["live"], tags["shipper"]) == ([], [])
    for name in ("ingest", "dashboard"):
        assert f"traefik.http.services.{name}.loadbalancer.healthcheck.path=/readyz" in tags[name]
    for instance in entries:
        writer.deregister(instance)


@pytest.mark.stack
def test_services_go_on_without_the_agent_and_enter_themselves_again(agent: Agent, tmp_path: Path) -> None:
    worker = Instance("worker", "stays", "127.0.0.1", 1)
    joined = JoinedDirectory(FileDirectory(tmp_path), ConsulDirectory(agent.settings.consul), "127.0.0.1")
    with Presence(joined, lambda: worker):
        assert joined.instances("worker") == [worker]
        agent.kill()
        shutil.rmtree(agent.settings.state / "consul" / "data")  # the worst of returns: with nothing
        assert joined.instances("worker") == [worker]
        agent.start()
        assert joined.instances("worker") == [worker]
        eventually(
            lambda: ConsulDirectory(agent.settings.consul).instances("worker") == [worker], "it is back"
        )
    assert joined.instances("worker") == []


@pytest.mark.stack
def test_an_agent_that_is_killed_keeps_its_services(agent: Agent) -> None:
    writer, worker = ConsulDirectory(agent.settings.consul), Instance("worker", "kept", "127.0.0.1", 1)
    writer.register(worker)
    agent.kill()
    agent.start()
    assert "worker:kept" in agent.services()
    writer.register(worker)
    eventually(lambda: ConsulDirectory(agent.settings.consul).instances("worker") == [worker], "it is well")
    writer.deregister(worker)


@pytest.mark.stack
def test_the_agent_listens_on_loopback_only(agent: Agent) -> None:
    connections = psutil.Process(agent.process.pid).net_connections("inet")
    bound = [c.laddr for c in connections if c.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)]
    assert {address.ip for address in bound} == {"127.0.0.1"}
    assert len({address.port for address in bound}) == 4


@contextmanager
def dashboard(agent: Agent, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Settings]]:
    """One whose tables are away: it serves, and is in Consul, if not well."""
    settings = replace(
        free_settings(folder), dynamodb="http://127.0.0.1:9", consul=agent.settings.consul, drain_s=600
    )
    process = start(settings, "dashboard_svc")
    try:
        eventually(lambda: entered(agent, settings) and alive(settings), "the dashboard has entered itself")
        yield process, settings
    finally:
        process.kill()
        process.wait(DEADLINE_S)


def entered(agent: Agent, settings: Settings) -> bool:
    return any(s["Port"] == settings.dashboard_port for s in agent.services().values())


def alive(settings: Settings) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{settings.dashboard_port}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.stack
def test_an_instance_leaves_the_directory_and_serves_on_before_it_stops(agent: Agent, tmp_path: Path) -> None:
    with dashboard(agent, tmp_path) as (process, settings):
        process.send_signal(signal.SIGTERM)
        eventually(lambda: not entered(agent, settings), "it has left")
        assert alive(settings)
        assert open_directory(settings).instances("dashboard") == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


@pytest.mark.stack
def test_an_interrupt_stops_an_instance_at_once(agent: Agent, tmp_path: Path) -> None:
    with dashboard(agent, tmp_path) as (process, settings):
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
        assert not entered(agent, settings)


class Said(Silent):
    """Remembers which parts join later."""

    def __init__(self) -> None:
        self.later: dict[str, str] = {}

    def joins_later(self, part: str, why: str) -> None:
        self.later[part] = why


@pytest.mark.stack
def test_a_start_of_everything_does_not_wait_for_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text("#!/bin/sh\n[ \"$1\" = version ] && echo 'go version go1.99.0 linux/amd64' || sleep 600\n")
    go.chmod(0o755)
    path = [p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "consul").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join([str(go.parent), *path]))
    monkeypatch.setenv("RECOUNT_CACHE", str(tmp_path / "cache"))
    said = Said()
    stack = Stack(Manifest(free_settings(tmp_path / "state").to_env()), said, with_parent=True)
    stack.parts = [part for part in stack.parts if part.name in ("cloudwatch", "consul")]
    try:
        stack.up()
        assert set(said.later) == {"consul"}
        eventually(lambda: consul_build.state().building_for_s is not None, "the build is under way")
        assert stack.control.running()["consul"].active
    finally:
        stack.down()
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(go) in (p.info["cmdline"] or [])]

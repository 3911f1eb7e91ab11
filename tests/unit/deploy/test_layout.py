"""What the local stack remembers, and where."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest

from deploy.local import kafka
from deploy.local.control import listens
from deploy.local.java import Java, class_archive_options, probe, without_manifest
from deploy.local.layout import (
    ROOT,
    SOCKET_PATH_MAX_BYTES,
    Layout,
    Manifest,
    instances_from_env,
    load_manifest,
    local_settings,
    log_tail,
)
from deploy.local.parts import all_parts
from recount.errors import SetupError
from recount.settings import Settings


def test_a_manifest_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    manifest = Manifest(Settings(state=tmp_path, ingest_port=1234).to_env(), {"ingest": 2})
    manifest.save(layout)
    assert load_manifest(layout) == manifest
    assert manifest.settings.ingest_port == 1234


def test_no_manifest_before_the_first_start(tmp_path: Path) -> None:
    assert load_manifest(Layout(tmp_path)) is None


def test_a_damaged_manifest_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"env": 3}')
    with pytest.raises(SetupError) as caught:
        load_manifest(Layout(tmp_path))
    assert "delete it" in caught.value.remedy


def test_commands_find_the_settings_that_the_stack_was_started_with(tmp_path: Path) -> None:
    env = {"RECOUNT_STATE": str(tmp_path)}
    assert local_settings(env).ingest_port == 8080
    Manifest(Settings(state=tmp_path, ingest_port=1234).to_env()).save(Layout(tmp_path))
    assert local_settings(env).ingest_port == 1234


def test_the_state_folder_lies_in_the_working_copy_wherever_one_stands() -> None:
    assert local_settings({}).state == ROOT / ".recount"


def test_the_socket_of_a_supervisor_that_is_gone_is_no_listener(tmp_path: Path) -> None:
    path = tmp_path / "control"
    assert not listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert listens(path)
    assert path.exists()
    assert not listens(path)


def test_socket_paths_stay_within_what_the_kernel_takes(tmp_path: Path) -> None:
    deep = Layout(tmp_path / ("x" * 120))
    short = Layout(Path("/tmp/s"))
    assert len(os.fsencode(deep.sockets / "control")) <= SOCKET_PATH_MAX_BYTES
    assert short.sockets == Path("/tmp/s/run")
    assert deep.sockets != Layout(tmp_path / ("y" * 120)).sockets


@pytest.mark.parametrize("text", ["0", "-1", "51", "many", ""])
def test_impossible_instance_counts_are_refused(text: str) -> None:
    with pytest.raises(SetupError, match="RECOUNT_LIVE_INSTANCES"):
        instances_from_env({"RECOUNT_LIVE_INSTANCES": text})


def test_no_two_parts_share_a_port_by_default() -> None:
    ports = [port for part in all_parts(Settings(), {}) for port in part.ports()]
    assert len(ports) == len(set(ports))


def test_every_instance_of_a_scalable_part_has_a_port() -> None:
    ingest = next(part for part in all_parts(Settings(), {"ingest": 3}) if part.name == "ingest")
    assert ingest.ports() == [8080, 8081, 8082]
    assert "$(circus.wid)" in ingest.command()


def test_kafka_listens_on_loopback_only() -> None:
    made = kafka.properties(Settings(), Path("/data"))
    for name in ("listeners", "advertised.listeners"):
        assert made[name] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:kafka"])
def test_an_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(SetupError, match="RECOUNT_KAFKA"):
        kafka.broker_port(Settings(kafka=address))


def test_what_is_no_java_is_none(tmp_path: Path) -> None:
    script = tmp_path / "java"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    assert probe(script) is None
    assert probe(tmp_path / "missing") is None


def test_old_and_new_version_numbers_are_read(tmp_path: Path) -> None:
    script = tmp_path / "java"
    for given, version in (("1.8", 8), ("17", 17), ("25", 25)):
        said = f"    java.home = /opt/java\n    java.specification.version = {given}\n"
        script.write_text(f"#!/bin/sh\nprintf '{said}' >&2\n")
        script.chmod(0o755)
        assert probe(script) == Java(Path("/opt/java"), version)


def test_a_class_archive_is_written_once_and_then_used(tmp_path: Path) -> None:
    (tmp_path / "java").mkdir()
    archive = tmp_path / "java" / "kafka-17.jsa"
    java = Java(Path("/opt/java"), 17)
    assert class_archive_options(java, "kafka", tmp_path) == (
        f"-XX:ArchiveClassesAtExit={archive}.{os.getpid()}",
    )
    running = archive.with_name(f"{archive.name}.{os.getpid()}")
    running.touch()
    assert class_archive_options(java, "kafka", tmp_path)[0].startswith("-XX:ArchiveClassesAtExit")
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    running.rename(archive.with_name(f"{archive.name}.{ended.pid}"))
    assert class_archive_options(java, "kafka", tmp_path)[0].startswith("-XX:ArchiveClassesAtExit")
    assert list(archive.parent.iterdir()) == []  # it was not written to its end
    archive.with_name(f"{archive.name}.{ended.pid}").write_bytes(b"head and classes")
    assert class_archive_options(java, "kafka", tmp_path) == (f"-XX:SharedArchiveFile={archive}",)


def test_a_jar_without_manifest_is_made_once_and_again_where_it_differs(tmp_path: Path) -> None:
    jar = tmp_path / "java" / "thing.jar"
    jar.parent.mkdir()
    with zipfile.ZipFile(jar, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", "Class-Path: .")
        file.writestr("Thing.class", "code")
    copy = without_manifest(jar, tmp_path)
    made = copy.stat().st_ino
    with zipfile.ZipFile(copy) as file:
        assert "META-INF/MANIFEST.MF" not in file.namelist()
        assert file.read("Thing.class") == b"code"
    assert without_manifest(jar, tmp_path).stat().st_ino == made
    copy.write_bytes(b"somebody's")
    assert without_manifest(jar, tmp_path).read_bytes()[:2] == b"PK"


def test_the_end_of_a_log_is_shown_without_stack_frames_and_without_older_starts(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert log_tail(log) == ""
    log.write_text("old\n")
    start = log.stat().st_size
    with log.open("a") as file:
        file.write("cause\n\tat org.example.Main(Main.java:1)\nend\n")
    assert log_tail(log, start) == "    cause\n    end"
    assert log_tail(log).startswith("    old")


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    missing = [f.name for f in fields(Settings) if f"RECOUNT_{f.name.upper()}" not in text]
    assert missing == []


def test_every_part_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [part.name for part in all_parts(Settings(), {}) if f"`{part.name}`" not in text] == []


def test_help_imports_none_of_the_commands() -> None:
    code = (
        "import sys, cli.main as m\n"
        "try: m.recount(['--help'], prog_name='recount')\n"
        "except SystemExit: pass\n"
        "heavy = {'polars', 'dagster', 'boto3', 'confluent_kafka', 'circus'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("up", "status", "demo", "import", "query"):
        assert f"  {name} " in done.stdout

"""Java parts: what their locks say, and that nothing unverified is ever used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.jars import Artifact, class_path, files, intact, read_lock
from recount.errors import SetupError


@pytest.fixture
def one_jar(monkeypatch: pytest.MonkeyPatch) -> Artifact:
    artifact = Artifact("org.example", "thing", "1.0", "jar", "", hashlib.sha256(b"the jar").hexdigest())
    monkeypatch.setattr(jars, "read_lock", lambda _program: [artifact])
    return artifact


@pytest.mark.parametrize("program", sorted(jars.PROGRAMS))
def test_locks_hold_a_hash_for_every_file_and_no_address(program: str) -> None:
    artifacts = read_lock(program)
    assert len(artifacts) > 20
    assert all(len(artifact.sha256) == 64 for artifact in artifacts)
    assert "://" not in (jars.LOCKS / f"{program}.lock.toml").read_text()


@pytest.mark.parametrize("program", sorted(jars.PROGRAMS))
def test_locks_hold_what_the_program_asks_for(program: str) -> None:
    locked = {f"{a.group}:{a.name}:{a.version}" for a in read_lock(program)}
    assert locked.issuperset(jars.PROGRAMS[program])


def test_a_changed_file_is_refused(one_jar: Artifact, tmp_path: Path) -> None:
    folder = tmp_path / "java"
    folder.mkdir()
    (folder / "thing-1.0.jar").write_bytes(b"the jar")
    assert files("any", tmp_path) == [folder / "thing-1.0.jar"]
    (folder / "thing-1.0.jar").write_bytes(b"another jar")
    with pytest.raises(SetupError, match="differs from its lock"):
        files("any", tmp_path)


def test_a_missing_file_is_refused(one_jar: Artifact, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="missing"):
        files("any", tmp_path)


def test_what_is_there_is_not_fetched_again(one_jar: Artifact, tmp_path: Path) -> None:
    (tmp_path / "java").mkdir()
    (tmp_path / "java" / "thing-1.0.jar").write_bytes(b"the jar")
    seen: list[tuple[int, int]] = []
    jars.fetch(["any"], tmp_path, lambda there, total: seen.append((there, total)))
    assert seen == [(1, 1)]


def test_a_download_that_differs_from_its_hash_never_reaches_the_cache(
    one_jar: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fetched:
        def resolve(self) -> Path:
            path = tmp_path / "download"
            path.write_bytes(b"something else")
            return path

    class Context:
        def __init__(self, **_: object) -> None: ...
        def project(self, *_: str) -> Context:
            return self

        def at_version(self, _: str) -> Context:
            return self

        def artifact(self, *_: str) -> Fetched:
            return Fetched()

    monkeypatch.setattr("jgo.maven.MavenContext", Context)
    with pytest.raises(SetupError, match="differs from its locked SHA-256"):
        jars.fetch(["any"], tmp_path)
    assert list((tmp_path / "java").iterdir()) == []


def test_natives_stay_out_of_the_class_path() -> None:
    assert class_path([Path("/a/x.jar"), Path("/a/libsqlite.so"), Path("/a/y.jar")]) == "/a/x.jar:/a/y.jar"


def test_a_file_that_is_not_there_is_not_intact(tmp_path: Path) -> None:
    assert not intact(tmp_path / "none", "0" * 64)

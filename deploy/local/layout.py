"""Where the local stack keeps things, and what it remembers about itself between two commands."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from recount.errors import SetupError
from recount.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE_VERSION: Final = "0.1"  # a new one leaves the downloads of an older release alone
SOCKET_PATH_MAX_BYTES: Final = 100  # the kernel takes 107
LOG_TAIL_LINES: Final = 12
LOG_TAIL_MAX_BYTES: Final = 64 * 1024
SCALABLE: Final = ("ingest", "live", "dashboard", "traefik")
LOCAL_PROXIES: Final = "127.0.0.0/8,::1/128"  # our own HAProxy and Traefik


@dataclass(frozen=True)
class Layout:
    """The state folder of one stack; every path is absolute."""

    state: Path

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        return cls(settings.state.absolute())

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def dagster(self) -> Path:
        return self.state / "dagster"

    @property
    def manifest(self) -> Path:
        return self.state / "stack.json"

    @property
    def instances(self) -> Path:
        """A file for each port that an instance of a scalable part has, with the process in it."""
        return self.state / "instances"

    @property
    def lock(self) -> Path:
        return self.state / "up.lock"

    @property
    def scale_lock(self) -> Path:
        return self.state / "scale.lock"

    @property
    def sockets(self) -> Path:
        """The supervisor's sockets; in a folder of their own where the state's path is too long for one."""
        own = self.state / "run"
        if len(os.fsencode(own / "control")) <= SOCKET_PATH_MAX_BYTES:
            return own
        digest = hashlib.sha256(os.fsencode(self.state)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"recount-{os.getuid()}-{digest}"

    @property
    def control(self) -> str:
        return f"ipc://{self.sockets / 'control'}"

    @property
    def events(self) -> str:
        return f"ipc://{self.sockets / 'events'}"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def make(self) -> None:
        for folder in (self.state, self.logs, self.sockets):
            folder.mkdir(parents=True, exist_ok=True)
        self.sockets.chmod(0o700)


@dataclass(frozen=True)
class Manifest:
    """What the stack was started with: settings as variables, how many instances of each scalable part."""

    env: dict[str, str]
    instances: dict[str, int] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings.from_env(self.env)

    def save(self, layout: Layout) -> None:
        fresh = layout.manifest.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self))
        fresh.replace(layout.manifest)


def load_manifest(layout: Layout) -> Manifest | None:
    """What the stack of this folder was last started with; None before the first start."""
    try:
        return msgspec.json.decode(layout.manifest.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise SetupError("stack", f"{layout.manifest} is damaged: {error}", "delete it") from None


def local_settings(env: Mapping[str, str] | None = None) -> Settings:
    """The settings of this working copy's stack: as it was started, else from the environment."""
    settings = settings_here(env)
    manifest = load_manifest(Layout.of(settings))
    return manifest.settings if manifest else settings


def settings_here(env: Mapping[str, str] | None = None) -> Settings:
    """The settings of the environment, with the state folder in the working copy and absolute."""
    source = os.environ if env is None else env
    settings = Settings.from_env(source)
    if "RECOUNT_STATE" not in source:
        settings = replace(settings, state=ROOT / ".recount")
    if "RECOUNT_TRUSTED_PROXIES" not in source:
        settings = replace(settings, trusted_proxies=LOCAL_PROXIES)
    return replace(settings, state=settings.state.absolute())


def instances_from_env(env: Mapping[str, str] | None = None) -> dict[str, int]:
    """How many of each scalable part: `RECOUNT_INGEST_INSTANCES` and so on, 1 unless said."""
    source = os.environ if env is None else env
    counts = {}
    for name in SCALABLE:
        variable = f"RECOUNT_{name.upper()}_INSTANCES"
        text = source.get(variable, "1")
        if not text.isdigit() or not 1 <= int(text) <= 50:
            raise SetupError("settings", f"{variable}={text!r}", f"set {variable} to a number from 1 to 50")
        counts[name] = int(text)
    return counts


def cache_folder(env: Mapping[str, str] | None = None) -> Path:
    """Downloads that all working copies share: `RECOUNT_CACHE`, else `~/.cache/recount/<version>`."""
    source = os.environ if env is None else env
    given = source.get("RECOUNT_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "recount" / CACHE_VERSION


def log_tail(path: Path, start: int = 0) -> str:
    """The last lines of a log written after the first `start` bytes, for a message."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(start if start <= size else 0, size - LOG_TAIL_MAX_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = [
        line for line in text.rstrip().splitlines() if not line.startswith("\tat ")
    ]  # Java's stack frames
    return "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])

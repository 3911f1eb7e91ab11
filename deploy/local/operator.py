"""The password with which operators pass the front to Dagster, made at the first start."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

PASSWORD_BYTES: Final = 18


def password_file(state: Path) -> Path:
    return state / "operator-password"


def operator_password(state: Path) -> str:
    """The same for every instance that asks, also for those that ask at once; readable by its owner only."""
    path = password_file(state)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(PASSWORD_BYTES) + "\n")
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text().strip()

"""A handler that does what its records say, for the tests of the event source mapping."""

from __future__ import annotations

import os
import time
from base64 import b64decode
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Appends every record's value to $HANDLED, unless one of them says otherwise."""
    values = [b64decode(record["value"]).decode() for part in event["records"].values() for record in part]
    with Path(os.environ["CALLS"]).open("a") as calls:
        calls.write(f"{os.getpid()} {len(values)}\n")
    if "exit" in values:
        os._exit(3)
    if "hang" in values:
        time.sleep(600)
    if "poison" in values or ("away" in values and Path(os.environ["AWAY"]).exists()):
        raise RuntimeError("cannot handle this batch")
    with Path(os.environ["HANDLED"]).open("a") as handled:
        handled.writelines(f"{value}\n" for value in values)
    return {"records": len(values)}

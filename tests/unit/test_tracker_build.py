"""The committed build of the tracker: small, made of its sources, in encodings of the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import brotli

from edge import tracker

ROOM = Path(tracker.__file__).parent
BUILT = ("recount.js", "recount.js.br", "recount.build.json")


def test_size() -> None:
    plain = tracker.load().plain
    assert len(brotli.compress(plain, quality=11)) <= tracker.BROTLI_MAX_BYTES == 1_000
    assert len(tracker.load().brotli) <= tracker.BROTLI_MAX_BYTES


def test_encodings_hold_the_same_script() -> None:
    script = tracker.load()
    assert brotli.decompress(script.brotli) == gzip.decompress(script.gzip) == script.plain
    assert script.plain.isascii()


def test_the_same_build_has_the_same_tags_everywhere() -> None:
    script = tracker.load()
    assert script == tracker.load()
    tags = [script.etag_of(encoding) for encoding in ("", "br", "gzip")]
    assert tags[0] == script.etag
    assert len(set(tags)) == 3
    assert all(tag.startswith('"') and tag.endswith('"') and tag.count('"') == 2 for tag in tags)


def test_the_build_is_made_of_the_sources(tmp_path: Path) -> None:
    """By their digest; where the minifier is installed (`make tracker`) by building once more."""
    sources = b"".join(
        (ROOM / name).read_bytes() for name in ("recount.src.js", "build.mjs", "package-lock.json")
    )
    recorded = json.loads((ROOM / "recount.build.json").read_text())
    assert recorded == {"sources_sha256": hashlib.sha256(sources).hexdigest()}, "run `make tracker`"

    if (ROOM / "node_modules").exists():
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        subprocess.run(
            ["node", "build.mjs", str(tmp_path)], cwd=ROOM, env={**os.environ, "PATH": path}, check=True
        )
        for name in BUILT:
            assert (tmp_path / name).read_bytes() == (ROOM / name).read_bytes(), "run `make tracker`"


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((ROOM / "package-lock.json").read_text())
    packages = [package for path, package in lock["packages"].items() if path]
    assert packages
    assert all("resolved" not in package and package["integrity"] for package in packages)


def test_every_option_is_documented() -> None:
    source = (ROOM / "recount.src.js").read_text()
    read = {a or b for a, b in re.findall(r'\boptions\.(\w+)|"(\w+)" in options', source)}
    documented = re.findall(
        r"^\| `data-([\w-]+)", (ROOM.parents[1] / "docs/tracker.md").read_text(), re.MULTILINE
    )
    assert sorted(documented) == sorted(read | {"no-outbound", "no-download"})

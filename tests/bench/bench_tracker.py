"""The tracker's weight on the wire."""

from __future__ import annotations

from pathlib import Path

import brotli

from tests.bench.rows import Row

MAX_BYTES = 1_000


def measure(*, large: bool) -> list[Row]:
    """Brotli at its highest quality, as a CDN serves it."""
    script = Path("edge/tracker/recount.js").read_bytes()
    size = len(brotli.compress(script, quality=11))
    return [
        Row(
            name="tracker, brotli",
            ours=size,
            unit="bytes",
            peer="Plausible (published figure)",
            peer_value=1_900,
            target=f"<= {MAX_BYTES}",
            ok=size <= MAX_BYTES,
        )
    ]

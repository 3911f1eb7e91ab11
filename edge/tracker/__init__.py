"""The tracker script as the ingest serves it: `recount.js` and its encodings, built by `make tracker`."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

BROTLI_MAX_BYTES: Final = 1_000

_ROOM: Final = Path(__file__).parent


class Script(NamedTuple):
    """One build of the tracker: JavaScript in UTF-8, its two encodings and a strong ETag, quotes included.

    The ETag names the build. A strong one differs between encodings, so for an encoded answer use `etag_of`.
    """

    plain: bytes
    brotli: bytes
    gzip: bytes
    etag: str

    def etag_of(self, encoding: str) -> str:
        """The ETag of the answer with this Content-Encoding (`br`, `gzip`, or empty for none)."""
        return f'{self.etag[:-1]}-{encoding}"' if encoding else self.etag


def load() -> Script:
    """Read the committed build from disk; the same build gives the same bytes and ETag on every instance."""
    plain = (_ROOM / "recount.js").read_bytes()
    return Script(
        plain=plain,
        brotli=(_ROOM / "recount.js.br").read_bytes(),
        gzip=gzip.compress(plain, mtime=0),
        etag=f'"{hashlib.sha256(plain).hexdigest()[:32]}"',
    )

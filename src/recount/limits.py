"""How large a request may be; the front, the ingest and the senders agree on it."""

from __future__ import annotations

from typing import Final

BODY_SINGLE_MAX_BYTES: Final = 64 * 1024
BODY_BATCH_MAX_BYTES: Final = 1024 * 1024
BODY_IMPORT_MAX_BYTES: Final = 8 * 1024 * 1024

"""Settings of a node; `dax.cli` fills them from options and variables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`endpoint` empty: DynamoDB of the region. `advertise` empty: the address that a client connected to."""

    host: str = "127.0.0.1"
    port: int = 8111
    http_host: str = "127.0.0.1"
    http_port: int = 8112
    endpoint: str = ""
    region: str = "us-east-1"
    state: Path = Path(".dax")
    advertise: str = ""

    item_ttl_s: float = 300.0
    query_ttl_s: float = 300.0
    absent_ttl_s: float = 5.0
    memory_max_bytes: int = 256 * 1024 * 1024

    tls_certificate: Path | None = None
    tls_key: Path | None = None

    connections_max: int = 1_000
    calls_max: int = 64
    """Calls of DynamoDB at once."""
    request_max_bytes: int = 32 * 1024 * 1024
    request_max_items: int = 500_000
    requests_max_bytes: int = 256 * 1024 * 1024
    """Of all connections: what has come of requests that are not whole yet."""
    request_timeout_s: float = 30.0
    """From the first byte of a request to its last."""
    call_timeout_s: float = 10.0

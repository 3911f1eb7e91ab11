"""Runs one Consul agent in server mode, bound to loopback; where there is no Consul yet, it is built first.

Entry point `python -m deploy.local.consul`; the process becomes the agent.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from deploy.local import consul_build
from deploy.local.layout import Layout
from recount.errors import SetupError
from recount.settings import Settings

NODE: Final = "recount"
DATACENTER: Final = "local"
CONNECTIONS_MAX: Final = 2_000  # every client of a local stack comes from the one address
METRICS_KEPT: Final = "60s"
BUILD_AGAIN_S: Final = 300.0


def http_port(settings: Settings) -> int:
    port = urlsplit(settings.consul).port
    if port is None:
        raise SetupError(
            "consul", f"RECOUNT_CONSUL={settings.consul!r}", "give it as http://127.0.0.1:<port>"
        )
    return port


def dns_port(settings: Settings) -> int:
    try:
        return int(settings.consul_dns.rpartition(":")[2])
    except ValueError:
        cause = f"RECOUNT_CONSUL_DNS={settings.consul_dns!r}"
        raise SetupError("consul", cause, "give it as 127.0.0.1:<port>") from None


def inner_ports(settings: Settings) -> tuple[int, int]:
    """Servers talk to each other on the first port above HTTP, all agents gossip on the second."""
    return http_port(settings) + 1, http_port(settings) + 2


def configuration(settings: Settings, data: Path) -> dict[str, Any]:
    """Of a cluster of one. It does not leave when it stops: nobody would be left to tell."""
    server, gossip = inner_ports(settings)
    return {
        "node_name": NODE,
        "datacenter": DATACENTER,
        "server": True,
        "bootstrap_expect": 1,
        "data_dir": str(data),
        "bind_addr": settings.host,
        "client_addr": settings.host,
        "ports": {
            "http": http_port(settings),
            "dns": dns_port(settings),
            "server": server,
            "serf_lan": gossip,
            "serf_wan": -1,
            "grpc": -1,
            "grpc_tls": -1,
            "https": -1,
        },
        "leave_on_terminate": False,
        "performance": {"raft_multiplier": 1},  # the fastest election: a leader within two seconds
        "limits": {"http_max_conns_per_client": CONNECTIONS_MAX},
        "telemetry": {"disable_hostname": True, "prometheus_retention_time": METRICS_KEPT},
        "connect": {"enabled": False},
        "ui_config": {"enabled": True},
        "disable_update_check": True,
        "log_level": "WARN",
    }


def main() -> None:
    settings = Settings.from_env()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # also in the middle of a build
    binary = _binary()
    folder = Layout.of(settings).state / "consul"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "agent.json"
    config.write_text(json.dumps(configuration(settings, folder / "data"), indent=2))
    os.execv(binary, [str(binary), "agent", "-config-file", str(config)])


def _binary() -> Path:
    """Waits for a build that fails: it may lack nothing but a network."""
    while True:
        try:
            return consul_build.find() or consul_build.build()
        except SetupError as error:
            print(error, file=sys.stderr, flush=True)  # noqa: T201
            time.sleep(BUILD_AGAIN_S)


if __name__ == "__main__":
    main()

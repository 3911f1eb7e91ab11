"""Settings for a stack of its own beside others: a folder, and a block of ports that nobody uses."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from deploy.local.layout import LOCAL_PROXIES
from deploy.local.preflight import port_is_free
from recount.errors import SetupError
from recount.settings import Settings

BLOCK_PORTS: Final = 100
# Below the range from which the kernel takes ports for outgoing connections.
FIRST_PORT: Final = 15_000
LAST_PORT: Final = 32_000
TRIES: Final = 200


def free_settings(state: Path) -> Settings:
    """The usual settings but for their ports, as `with_free_ports` gives them."""
    return with_free_ports(Settings(state=state.absolute()))


def with_free_ports(given: Settings) -> Settings:
    """The settings with ports that are all free now, with room to scale each service to twenty instances.

    What differs from the usual was chosen by somebody and stays.
    """
    free, usual = _on_free_ports(_free_block()), Settings()
    chosen = {f.name for f in fields(Settings) if getattr(given, f.name) != getattr(usual, f.name)}
    return replace(given, **{name: value for name, value in free.items() if name not in chosen})


def _on_free_ports(base: int) -> dict[str, Any]:
    """What the settings have in place of the usual ports, by name."""
    host = Settings().host
    return {
        "ingest_port": base,
        "live_port": base + 20,
        "dashboard_port": base + 40,
        "kafka": f"{host}:{base + 60}",  # and its controller on the next
        "dynamodb": f"http://{host}:{base + 62}",
        "cloudwatch": f"http://{host}:{base + 63}",
        "dagster_port": base + 64,  # and the code server on the next
        "shipper_port": base + 66,
        "store_batches_port": base + 67,
        "publish_metrics_port": base + 68,
        "front_port": base + 69,
        "front_admin_port": base + 70,
        "consul": f"http://{host}:{base + 71}",  # and its server and gossip ports on the next two
        "consul_dns": f"{host}:{base + 74}",
        "autoscaler_port": base + 75,
        "dax": f"{host}:{base + 76}",
        "dax_http_port": base + 77,
        "traefik_port": base + 80,
        "traefik_admin_port": base + 90,
        "trusted_proxies": LOCAL_PROXIES,
    }


def _free_block() -> int:
    host = Settings().host
    for _ in range(TRIES):
        base = random.randrange(FIRST_PORT, LAST_PORT - BLOCK_PORTS, BLOCK_PORTS)
        if all(port_is_free(host, port) for port in range(base, base + BLOCK_PORTS)):
            return base
    raise SetupError(
        "ports", f"no {BLOCK_PORTS} free ports in a row found", "end programs that listen on many ports"
    )

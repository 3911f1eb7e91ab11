"""The one list of what the local stack is made of."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from deploy.local import cloudwatch, consul, dynamodb, kafka, nursery
from deploy.local.layout import ROOT
from recount.errors import SetupError
from recount.settings import DAGSTER_PREFIX, Settings


class Probe(Enum):
    """How a part is asked whether it is healthy."""

    NURSERY = "its socket"
    KAFKA = "metadata"
    DYNAMODB = "ListTables"
    DAX = "/readyz of its HTTP side"
    CLOUDWATCH = "DescribeAlarms"
    CONSUL = "leader"
    TRAEFIK = "/ping"
    HAPROXY = "/healthz"
    READY = "/readyz"
    GRPC = "grpc health"
    DAGSTER_WEB = "/server_info"
    DAGSTER_DAEMON = "heartbeats, asked of the webserver"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One supervised program. `port` is its first instance's; None where it listens nowhere.

    It starts once all that `after` names is healthy, and stops before them; `beside` is started with it. One
    that is `nursed` is forked from the nursery; where that does not run it is started as any other program.
    What still has to be made before it can run joins later: its probe says so (`health.Joining`), a start of
    everything goes on without it, and what comes after it starts all the same and finds it when it is there.
    """

    name: str
    module: tuple[str, ...]
    probe: Probe
    port: int | None
    port_setting: str
    more_ports: tuple[int, ...] = ()
    instances: int = 1
    scalable: bool = False
    after: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    nursed: bool = False
    start_within_s: float = 180.0

    def ports(self) -> list[int]:
        """Every port it needs, over all instances."""
        own = [] if self.port is None else [self.port + i for i in range(self.instances)]
        return own + list(self.more_ports)

    def command(self) -> list[str]:
        """The argument list for the supervisor; a scalable part gets its port from its worker number."""
        if not self.scalable:
            return [sys.executable, "-m", *self.module]
        return [
            sys.executable, "-m", "deploy.local.instance",
            self.port_setting, str(self.port), "$(circus.wid)", *self.module,
        ]  # fmt: skip


# Bears the parts that are `nursed`; a start of everything begins with it, and one of some parts does without.
NURSERY: Final = "nursery"

# What services need beside running parts: topics, tables, the ready-made site.
PREPARED: Final = "prepared"
PREPARED_FROM: Final = frozenset({"kafka", "dynamodb"})

CODE_PORT_VARIABLE: Final = "RECOUNT_DAGSTER_CODE_PORT"


def code_port(settings: Settings) -> int:
    """Dagster's code server listens one above its webserver."""
    return settings.dagster_port + 1


def dax_port(settings: Settings) -> int:
    """Raises SetupError where the setting names none."""
    _, _, port = settings.dax.rpartition(":")
    if not port.isdigit():
        raise SetupError("dax", f"RECOUNT_DAX={settings.dax!r}", "give it as host:port, or leave it empty")
    return int(port)


def all_parts(settings: Settings, instances: Mapping[str, int]) -> list[Part]:
    """Every part, in the order in which they start."""
    return [
        *_storage(settings),
        *_nursery(),
        *_dax(settings),
        *_services(settings, instances),
        *_front(settings, instances),
        *_dagster(settings),
    ]


def _storage(settings: Settings) -> list[Part]:
    return [
        Part(
            name="kafka",
            module=("deploy.local.kafka",),
            probe=Probe.KAFKA,
            port=kafka.broker_port(settings),
            port_setting="RECOUNT_KAFKA",
            more_ports=(kafka.controller_port(settings),),
        ),
        Part(
            name="dynamodb",
            module=("deploy.local.dynamodb",),
            probe=Probe.DYNAMODB,
            port=dynamodb.port_of(settings),
            port_setting="RECOUNT_DYNAMODB",
        ),
        Part(
            name="cloudwatch",
            module=("deploy.local.cloudwatch",),
            probe=Probe.CLOUDWATCH,
            port=cloudwatch.port_of(settings),
            port_setting="RECOUNT_CLOUDWATCH",
            nursed=True,
        ),
        Part(
            name="consul",
            module=("deploy.local.consul",),
            probe=Probe.CONSUL,
            port=consul.http_port(settings),
            port_setting="RECOUNT_CONSUL",
            more_ports=(*consul.inner_ports(settings), consul.dns_port(settings)),
        ),
    ]


def _nursery() -> list[Part]:
    if not nursery.SUPPORTED:
        return []
    return [
        Part(
            name=NURSERY,
            module=("deploy.local.nursery",),
            probe=Probe.NURSERY,
            port=None,
            port_setting="",
        )
    ]


def _dax(settings: Settings) -> list[Part]:
    """Nothing waits for it: who reads through it reads from DynamoDB until it is there."""
    if not settings.dax:
        return []
    host, port = settings.host, dax_port(settings)
    return [
        Part(
            name="dax",
            module=(
                "dax", "serve", "--host", host, "--port", str(port),
                "--http-host", host, "--http-port", str(settings.dax_http_port),
                "--endpoint", settings.dynamodb, "--region", settings.aws_region,
                "--state", str(settings.state.absolute() / "dax"), "--log-level", settings.log_level,
            ),
            probe=Probe.DAX,
            port=port,
            port_setting="RECOUNT_DAX",
            nursed=True,
            more_ports=(settings.dax_http_port,),
            after=("dynamodb",),
        )
    ]  # fmt: skip


def _services(settings: Settings, instances: Mapping[str, int]) -> list[Part]:
    def service(
        name: str, module: Sequence[str], port: int, *, scalable: bool = False, setting: str = ""
    ) -> Part:
        return Part(
            name=name,
            module=tuple(module),
            after=(PREPARED,),
            nursed=True,
            probe=Probe.READY,
            port=port,
            port_setting=setting or f"RECOUNT_{name.upper()}_PORT",
            instances=instances.get(name, 1) if scalable else 1,
            scalable=scalable,
        )

    source = ("deploy.local.event_source", "--lambda")
    return [
        service("ingest", ["edge.ingest"], settings.ingest_port, scalable=True),
        service("shipper", ["edge.ship"], settings.shipper_port),
        service("live", ["streaming.live"], settings.live_port, scalable=True),
        service("store_batches", [*source, "store_batches"], settings.store_batches_port),
        service("publish_metrics", [*source, "publish_metrics"], settings.publish_metrics_port),
        service("dashboard", ["dashboard_svc"], settings.dashboard_port, scalable=True),
        service("autoscaler", ["deploy.local.autoscaler"], settings.autoscaler_port),
    ]


def _front(settings: Settings, instances: Mapping[str, int]) -> list[Part]:
    traefiks = instances.get("traefik", 1)
    return [
        Part(
            name="traefik",
            module=("deploy.local.traefik", str(settings.traefik_port)),
            probe=Probe.TRAEFIK,
            port=settings.traefik_port,
            port_setting="RECOUNT_TRAEFIK_PORT",
            more_ports=tuple(settings.traefik_admin_port + i for i in range(traefiks)),
            instances=traefiks,
            scalable=True,
            nursed=True,
            after=("consul",),
        ),
        Part(
            name="haproxy",
            module=("deploy.local.haproxy",),
            probe=Probe.HAPROXY,
            port=settings.front_port,
            port_setting="RECOUNT_FRONT_PORT",
            more_ports=(settings.front_admin_port,),
            after=("traefik",),
        ),
    ]


def _dagster(settings: Settings) -> list[Part]:
    workspace = ("-w", str(ROOT / "workspace.yaml"))
    code, web = str(code_port(settings)), str(settings.dagster_port)
    prefix = ("--path-prefix", DAGSTER_PREFIX)  # as the front has it
    return [
        Part(
            name="dagster-code",
            module=(
                "dagster", "api", "grpc", "-m", "orchestration.definitions",
                "-h", settings.host, "-p", code,
            ),
            nursed=True,
            probe=Probe.GRPC,
            port=code_port(settings),
            port_setting="RECOUNT_DAGSTER_PORT",
            start_within_s=300.0,
        ),
        Part(
            name="dagster-webserver",
            module=("deploy.local.dagster", "webserver", "-h", settings.host, "-p", web, *workspace, *prefix),
            beside=("dagster-code",),
            nursed=True,
            probe=Probe.DAGSTER_WEB,
            port=settings.dagster_port,
            port_setting="RECOUNT_DAGSTER_PORT",
            start_within_s=300.0,
        ),
        Part(
            name="dagster-daemon",
            module=("deploy.local.dagster", "daemon", "run", *workspace),
            beside=("dagster-code", "dagster-webserver"),  # which knows whether the daemon is well
            nursed=True,
            probe=Probe.DAGSTER_DAEMON,
            port=None,
            port_setting="",
            start_within_s=300.0,
        ),
    ]  # fmt: skip

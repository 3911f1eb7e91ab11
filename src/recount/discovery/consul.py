"""A directory in Consul: every host's instances, through the agent of this host."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx

from recount.discovery.directory import EXPIRES_S, Instance
from recount.errors import InvalidInput, Unavailable

# Whose /readyz Consul asks; and which of them the front may route to, as their tags tell it.
CHECKED: Final = frozenset({"ingest", "live", "dashboard"})
FRONTED: Final = frozenset({"ingest", "dashboard"})

TIMEOUT_S: Final = 2.0
FRESH_S: Final = 1.0  # an answer this old will do, so that busy callers ask Consul once a second
READY_EVERY: Final = "1s"
READY_WITHIN: Final = "2s"
FRONT_ASKS_EVERY: Final = "500ms"
FORGOTTEN_AFTER: Final = "1m"  # the least that Consul takes
CONNECTIONS_MAX: Final = 4
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class _Answer:
    """What Consul said at a moment: instances, or why it said nothing."""

    at_s: float
    found: tuple[Instance, ...] = ()
    failed: str = ""

    def instances(self) -> list[Instance]:
        if self.failed:
            raise Unavailable("consul", self.failed)
        return list(self.found)


class ConsulDirectory:
    """Services in the catalog of Consul. Every method raises Unavailable where the agent does not answer."""

    def __init__(self, address: str, token: str = "", *, expires_s: float = EXPIRES_S) -> None:
        """`address`: the HTTP API of this host's agent; `token`: an ACL token, where the cluster has any."""
        self._expires_s = expires_s
        self._client = httpx.Client(
            base_url=address,
            headers={"X-Consul-Token": token} if token else {},
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=address.startswith("https"),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
        )
        self._writing = threading.Lock()
        self._entered: dict[str, Instance] = {}
        self._asking = threading.Lock()
        self._answers: dict[str, _Answer] = {}

    def register(self, instance: Instance) -> None:
        """A beat where nothing changed and the agent still knows the instance; the whole entry otherwise."""
        key = _key(instance)
        with self._writing:
            before = self._entered.get(key)
            if before != instance or not self._beat(key):
                self._put("/v1/agent/service/register", self._entry(instance, known=before is not None))
                self._entered[key] = instance
                self._answers.pop(instance.service, None)

    def deregister(self, instance: Instance) -> None:
        key = _key(instance)
        with self._writing:
            self._entered.pop(key, None)
            self._put(f"/v1/agent/service/deregister/{quote(key, safe='')}", may_be_unknown=True)
            self._answers.pop(instance.service, None)

    def instances(self, service: str) -> list[Instance]:
        """Those whose checks all pass, as of a second ago at most."""
        answer = self._answers.get(service)
        if answer is None or time.monotonic() - answer.at_s >= FRESH_S:
            answer = self._ask(service, answer)
        return answer.instances()

    def routes(self, instance: Instance) -> bool:
        return instance.service in CHECKED and _key(instance) in self._entered

    def _ask(self, service: str, known: _Answer | None) -> _Answer:
        """One caller asks; the others take what was known until it is back."""
        if not self._asking.acquire(blocking=known is None):
            assert known is not None
            return known
        try:
            answer = self._answers.get(service)
            if answer is None or answer is known:
                answer = self._answers[service] = self._fetch(service)
            return answer
        finally:
            self._asking.release()

    def _fetch(self, service: str) -> _Answer:
        path = f"/v1/health/service/{quote(service, safe='')}"
        try:
            entries = self._call("GET", path, params={"passing": "true", "stale": ""}).json()
        except Unavailable as error:
            return _Answer(time.monotonic(), failed=error.detail)
        found = sorted((_instance(entry["Service"]) for entry in entries), key=lambda i: (i.id, i.url))
        return _Answer(time.monotonic(), tuple(found))

    def _beat(self, key: str) -> bool:
        """False where the agent does not know the instance: it was restarted with nothing."""
        path = f"/v1/agent/check/update/{quote(_beat_id(key), safe='')}"
        return self._put(path, {"Status": "passing"}, may_be_unknown=True)

    def _entry(self, instance: Instance, *, known: bool) -> Mapping[str, Any]:
        """What the agent keeps. Who comes for the first time must show that it is ready first."""
        key = _key(instance)
        checks: list[dict[str, str]] = [
            {
                "CheckID": _beat_id(key),
                "Name": "heartbeat",
                "TTL": f"{round(self._expires_s * 1000)}ms",
                "Status": "passing",
                "DeregisterCriticalServiceAfter": FORGOTTEN_AFTER,
            }
        ]
        if instance.service in CHECKED:
            checks.append(
                {
                    "CheckID": f"{key}:ready",
                    "Name": "ready",
                    "HTTP": f"{instance.url}/readyz",
                    "Interval": READY_EVERY,
                    "Timeout": READY_WITHIN,
                    "Status": "passing" if known else "critical",
                    "DeregisterCriticalServiceAfter": FORGOTTEN_AFTER,
                }
            )
        return {
            "ID": key,
            "Name": instance.service,
            "Address": instance.host,
            "Port": instance.port,
            "Meta": instance.meta,
            "Tags": _front_tags(instance.service) if instance.service in FRONTED else [],
            "Checks": checks,
        }

    def _put(self, path: str, body: object = None, *, may_be_unknown: bool = False) -> bool:
        answer = self._call("PUT", path, json=body, accept=(404,) if may_be_unknown else ())
        return answer.is_success

    def _call(self, method: str, path: str, *, accept: tuple[int, ...] = (), **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            said = f"{self._client.base_url}: {error or type(error).__name__}"
            raise Unavailable("consul", said) from error
        if not answer.is_success and answer.status_code not in accept:
            raise Unavailable("consul", f"{path} answers {answer.status_code} {answer.text.strip()[:200]}")
        return answer


def _front_tags(service: str) -> list[str]:
    """What Traefik reads: that it may route here, and to ask each instance itself whether it is well.

    Its own question counts where Consul is away.
    """
    balancer = f"traefik.http.services.{service}.loadbalancer"
    return [
        "traefik.enable=true",
        f"{balancer}.healthcheck.path=/readyz",
        f"{balancer}.healthcheck.interval={FRONT_ASKS_EVERY}",
        f"{balancer}.healthcheck.timeout={READY_WITHIN}",
        f"{balancer}.serverstransport=service@file",
    ]


def _key(instance: Instance) -> str:
    """The id at the agent, where those of all services share one space."""
    if not _DNS_LABEL.fullmatch(instance.service):
        raise InvalidInput(f"{instance.service!r} cannot name a service; use a-z, 0-9 and -", field="service")
    return f"{instance.service}:{instance.id}"


def _beat_id(key: str) -> str:
    return f"{key}:beat"


def _instance(entry: Mapping[str, Any]) -> Instance:
    service = str(entry["Service"])
    own_id = str(entry["ID"]).removeprefix(f"{service}:")
    return Instance(service, own_id, str(entry["Address"]), int(entry["Port"]), dict(entry["Meta"] or {}))

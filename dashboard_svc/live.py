"""The live numbers of hours not published yet, asked of the live service over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote

import httpx
import msgspec
import orjson
import structlog

from recount.discovery import Directory, Instance
from recount.errors import InvalidInput
from recount.querying.live_source import LiveHours
from recount.store.segment_wire import Segment
from recount.store.segments import decode

SERVICE: Final = "live"
CONNECT_TIMEOUT_S: Final = 0.3
READ_TIMEOUT_S: Final = 1.5
AWAY_S: Final = 2.0
INSTANCES_TRIED_MAX: Final = 3
ROLLUP_MAX_BYTES: Final = 64 * 1024**2
HOURS: Final = "Recount-Hours"
COMPLETE: Final = "Recount-Complete"
INCOMPLETE: Final = "0"
AS_OF: Final = "Recount-As-Of"


class LiveHttp:
    """A LiveSource over HTTP, from any live instance of the directory.

    Its absence is an answer (None), not an error: pages go on with what is published. After a failure an
    instance is not asked again for AWAY_S, so that an outage slows no page.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._clock = clock
        timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        self._client = httpx.Client(timeout=timeout, transport=transport, trust_env=False)
        self._lock = threading.Lock()
        self._away_until: dict[str, float] = {}

    def hours(self, site: str, hours: Sequence[str]) -> LiveHours | None:
        """See LiveSource: the first instance that answers for all of the site's partitions."""
        for instance in self._present():
            live = self._ask(instance, site, hours)
            if live is not None:
                return live
        return None

    def state(self, site: str, minutes: int) -> bytes | None:
        """The last minutes as JSON, as the live service gives them; None where no instance answers.

        Raises InvalidInput where it does not go back that far.
        """
        for instance in self._present():
            url = f"{instance.url}/v1/live/{quote(site, safe='')}"
            with self._noticing(instance):
                answer = self._client.get(url, params={"minutes": minutes})
                if answer.status_code == httpx.codes.OK:
                    return answer.content
                if answer.status_code == httpx.codes.BAD_REQUEST:
                    raise InvalidInput(str(orjson.loads(answer.content)["detail"]), field="minutes")
        return None

    def _present(self) -> Sequence[Instance]:
        now = self._clock()
        with self._lock:
            away = {url for url, until in self._away_until.items() if until > now}
        return [i for i in self._directory.instances(SERVICE) if i.url not in away][:INSTANCES_TRIED_MAX]

    def _ask(self, instance: Instance, site: str, hours: Sequence[str]) -> LiveHours | None:
        url = f"{instance.url}/v1/live/{quote(site, safe='')}/rollup"
        with (
            self._noticing(instance),
            self._client.stream("GET", url, params={"hours": ",".join(hours)}) as answer,
        ):
            if answer.status_code == httpx.codes.OK and answer.headers.get(COMPLETE) != INCOMPLETE:
                return _live_hours(answer.headers, _bounded(answer), site)
        return None

    @contextmanager
    def _noticing(self, instance: Instance) -> Iterator[None]:
        """What goes wrong with an instance ends here; it is not asked again for AWAY_S."""
        try:
            yield
        except (httpx.HTTPError, msgspec.MsgspecError, KeyError, ValueError) as error:
            structlog.get_logger().warning("live_away", instance=instance.id, error=type(error).__name__)
            with self._lock:
                self._away_until[instance.url] = self._clock() + AWAY_S


def _live_hours(headers: httpx.Headers, body: bytes, site: str) -> LiveHours:
    rollup = decode(Segment.from_bytes(body), site)
    hours = frozenset(hour for hour in headers[HOURS].split(",") if hour)
    return LiveHours(rollup, hours, int(headers[AS_OF]))


def _bounded(answer: httpx.Response) -> bytes:
    """The body. Raises ValueError where it is larger than any that an instance should send."""
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > ROLLUP_MAX_BYTES:
            raise ValueError(f"more than {ROLLUP_MAX_BYTES} bytes")
    return bytes(body)

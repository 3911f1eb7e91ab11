"""The fast path: `POST /v1/events` and `GET /p.gif` without a framework; everything else goes to Flask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_plus

from msgspec.structs import replace

from edge import answers
from edge.bodies import Bodies
from edge.client_event import ClientEvent, from_query, parse_body
from edge.door import Door
from edge.policy import Asked
from edge.server import WsgiApp
from edge.tally import Histogram
from recount.callers import REQUEST_HEADER, Proxies, bearer_token
from recount.errors import Refused, Unavailable
from recount.event import SourceKind
from recount.limits import BODY_BATCH_MAX_BYTES
from recount.reasons import Reason

Environ = dict[str, Any]
StartResponse = Callable[[str, answers.Headers], Any]

QUERY_MAX_CHARS: Final = 16_384
CACHED_QUERIES: Final = 8_192
CACHED_QUERY_MAX_CHARS: Final = 1_024
REQUEST_VARIABLE: Final = "HTTP_" + REQUEST_HEADER.upper().replace("-", "_")


class Front:
    """The WSGI callable of an ingest."""

    def __init__(self, door: Door, app: WsgiApp, proxies: Proxies, bodies: Bodies) -> None:
        self._door = door
        self._app = app
        self._address_of = proxies.client_address
        self._bodies = bodies
        self._remembered = lru_cache(CACHED_QUERIES)(_from_pixel)
        self.pixel_seconds = Histogram()
        self.events_seconds = Histogram()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        method = environ["REQUEST_METHOD"]
        started = time.perf_counter()
        if path == "/v1/events" and method == "POST":
            body = self._events(environ, start_response)
            self.events_seconds.observe(time.perf_counter() - started)
            return body
        if path == "/p.gif" and method == "GET":
            body = self._pixel(environ, start_response)
            self.pixel_seconds.observe(time.perf_counter() - started)
            return body
        return self._app(environ, start_response)

    def _pixel(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            query = environ["QUERY_STRING"]
            # An image in a page has the same query at every view.
            sent = self._remembered(query) if len(query) <= CACHED_QUERY_MAX_CHARS else _from_pixel(query)
            if sent.url is None and "HTTP_REFERER" in environ:
                sent = replace(sent, url=environ["HTTP_REFERER"])  # the page that holds the image
            if sent.id is None and REQUEST_VARIABLE in environ:
                # A proxy may send a GET again; by the name of its request it counts once.
                sent = replace(sent, id=environ[REQUEST_VARIABLE])
            self._door.take(self._asked(environ, "pixel"), sent)
        except (Refused, Unavailable) as error:
            refused = answers.as_refused(error)
            self._door.count_drop(refused.reason)
            start_response("200 OK", answers.refusal_headers(refused.reason, answers.GIF_HEADERS))
        else:
            start_response("200 OK", answers.GIF_HEADERS)
        return [answers.GIF]

    def _events(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            asked = self._asked(environ, "tracker")
            sent = parse_body(self._bodies.read(environ, BODY_BATCH_MAX_BYTES))
            if isinstance(sent, list):
                status, headers, body = answers.batch(self._door.take_all(asked, sent))
            else:
                self._door.take(asked, sent)
                status, headers, body = "202 Accepted", answers.JSON_HEADERS, answers.ONE_ACCEPTED
        except (Refused, Unavailable) as error:
            refused = answers.as_refused(error)
            self._door.count_drop(refused.reason)
            status, headers, body = answers.single_refusal(refused)
        start_response(status, headers)
        return [body]

    def _asked(self, environ: Environ, source_kind: SourceKind) -> Asked:
        get = environ.get
        return Asked(
            time.time_ns() // 1_000_000,
            self._address_of(environ),
            get("HTTP_USER_AGENT", ""),
            source_kind,
            bearer_token(authorization) if (authorization := get("HTTP_AUTHORIZATION")) else "",
            get("HTTP_DNT") == "1" or get("HTTP_SEC_GPC") == "1",
        )


def _from_pixel(query: str) -> ClientEvent:
    """The event of a pixel; one that has a name is a custom event. Raises Refused."""
    if len(query) > QUERY_MAX_CHARS:
        raise Refused(Reason.TOO_LARGE, f"a query has at most {QUERY_MAX_CHARS} characters")
    if not query.isascii():
        query = query.encode("latin-1", "replace").decode("utf-8", "replace")
    fields = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        fields[name] = unquote_plus(value)
    if "name" in fields:
        fields["kind"] = "event"
    return from_query(fields)

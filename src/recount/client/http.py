"""Requests that wait and ask again where the answer says that this helps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO, Any, Final

import httpx

from recount.client import errors

ATTEMPTS_MAX: Final = 5
WAIT_MAX_S: Final = 65.0  # a minute's rate, and a little
FIRST_WAIT_S: Final = 0.5
AGAIN: Final = (429, 503)
CONNECT_TIMEOUT_S: Final = 5.0


class Http:
    """One address and token; connections are kept. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        timeout_s: float,
        transport: httpx.BaseTransport | None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"User-Agent": "recount-client", "Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
        self._sleep = sleep

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer. Raises ApiError."""
        return self._json(lambda: self._client.get(path, params=parameters))

    def post(self, path: str, body: Any) -> Any:
        """The JSON of an answer. Raises ApiError."""
        return self._json(lambda: self._client.post(path, json=body))

    def fetch(self, path: str, body: Any, out: IO[bytes]) -> httpx.Headers:
        """Write the bytes of an answer as they come. Raises ApiError, also where it ends before its end."""

        def ask() -> httpx.Response:
            return self._client.send(self._client.build_request("POST", path, json=body), stream=True)

        answer = self._ask(ask)
        try:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                raise errors.of(answer)
            for piece in answer.iter_bytes():
                out.write(piece)
        except httpx.TransportError as error:
            remedy = "ask again; a shorter range is less to lose"
            raise errors.Unavailable(f"the answer ended before its end: {error}", remedy=remedy) from error
        finally:
            answer.close()
        return answer.headers

    def close(self) -> None:
        self._client.close()

    def _json(self, ask: Callable[[], httpx.Response]) -> Any:
        answer = self._ask(ask)
        if answer.status_code != httpx.codes.OK:
            raise errors.of(answer)
        return answer.json()

    def _ask(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """The first answer that asking again would not change."""
        for attempt in range(ATTEMPTS_MAX):
            is_last = attempt == ATTEMPTS_MAX - 1
            backoff_s = FIRST_WAIT_S * 2**attempt
            try:
                answer = ask()
            except httpx.TransportError as error:
                if is_last or not isinstance(error, httpx.ConnectError):
                    raise self._not_reachable(error) from error
                self._sleep(backoff_s)
                continue
            wait_s = _retry_after_s(answer, backoff_s)
            if answer.status_code not in AGAIN or is_last or wait_s > WAIT_MAX_S:
                return answer
            answer.close()
            self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _not_reachable(self, error: httpx.TransportError) -> errors.NotReachable:
        what = str(error) or type(error).__name__
        remedy = "check the address; `recount up` prints it, `recount status` shows what runs"
        return errors.NotReachable(f"{self._client.base_url} does not answer: {what}", remedy=remedy)


def _retry_after_s(answer: httpx.Response, otherwise_s: float) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else otherwise_s

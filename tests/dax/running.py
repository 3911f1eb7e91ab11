"""A node in this process, on a thread with a loop of its own, and clients for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import boto3
import uvloop
from amazondax import AmazonDaxClient
from botocore.config import Config

from dax.errors import SetupError
from dax.server import Server
from dax.settings import Settings

WAIT_S: Final = 30.0
CREDENTIALS: Final[dict[str, Any]] = {
    "region_name": "eu-central-1",
    "aws_access_key_id": "anybody",
    "aws_secret_access_key": "anything",
}

Result = TypeVar("Result")


class RunningNode:
    """Runs from the start of a `with` block to its end."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self._failure: SetupError | None = None

    def __enter__(self) -> RunningNode:
        self._thread.start()
        assert self._started.wait(WAIT_S)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"dax://127.0.0.1:{self.server.port}"

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.server.http_port}"

    def client(self) -> Any:
        """The real client."""
        return AmazonDaxClient(endpoint_url=self.url, **CREDENTIALS)

    def in_loop(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def calls(self, operation: str) -> int:
        """How many calls of DynamoDB there were."""
        timing = self.server.node.stats.calls.get(operation)
        return 0 if timing is None else sum(timing.counts)

    def _run(self) -> None:
        uvloop.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.server = Server(self._settings, self._clock)
        try:
            await self.server.start()
        except SetupError as failure:
            self._failure = failure
            return
        finally:
            self._started.set()
        await self._stop.wait()
        await self.server.stop()


def settings(state: Path, endpoint: str, **changes: Any) -> Settings:
    given: dict[str, Any] = {"port": 0, "http_port": 0, "region": CREDENTIALS["region_name"]}
    return Settings(state=state, endpoint=endpoint, **given | changes)


def direct_client(endpoint: str) -> Any:
    """boto3, past the node."""
    config = Config(retries={"total_max_attempts": 1})
    return boto3.Session().client("dynamodb", endpoint_url=endpoint, config=config, **CREDENTIALS)

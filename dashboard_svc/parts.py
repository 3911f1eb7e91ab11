"""Answers of any length, sent part by part: never more in memory than one part, and never an end that looks
like a whole answer where one is missing."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog
from granian._granian import RSGIProtocolClosed

from dashboard_svc.bridge import Answer, Parts, Scope
from dashboard_svc.connection import Connection

THREADS: Final = 4


class PartSender:
    """Makes the parts on threads of its own, so that long answers do not hold up pages."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="parts")

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    async def send(self, answer: Answer, scope: Scope, protocol: Any) -> None:
        """All parts; where making one fails, the connection is cut."""
        assert answer.parts is not None
        transport = protocol.response_stream(answer.status, answer.headers)
        connection = Connection(scope.client)
        try:
            while (part := await self._run(_next, answer.parts)) is not None:
                await transport.send_bytes(part)
                await connection.drained()
        except RSGIProtocolClosed:
            structlog.get_logger().info("receiver_gone", path=scope.path)
        except BaseException as error:
            structlog.get_logger().error("cut_short", path=scope.path, exc_info=error)
            connection.cut()
            if not isinstance(error, Exception):
                raise
        finally:
            connection.close()
            await self._run(answer.parts.close)

    async def _run(self, work: Any, *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)


def _next(parts: Parts) -> bytes | None:
    """The next part that has anything in it; None after the last."""
    return next((part for part in parts if part), None)

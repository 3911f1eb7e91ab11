"""The DAX node: cached gets beside DynamoDB Local through boto3, and what a core of it can do."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
from amazondax import AmazonDaxClient

from tests.bench.rows import Row
from tests.bench.stacks import own_stack
from tests.dax import tables
from tests.dax.running import CREDENTIALS, direct_client
from tests.dax.wire import OPENING, get_item, text

ITEM_BYTES: Final = 2_000
ITEMS: Final = 5_000
CLIENT_GETS: Final = 2_000
ROUNDS: Final = 5
CONNECTIONS: Final = 8
WIRE_GETS: Final = 100_000
FASTER_MIN: Final = 8
PER_CORE_MIN: Final = 5_000


def measure(*, large: bool) -> list[Row]:
    with own_stack() as stack:
        stack.need("dynamodb")
        with _node(stack.folder, stack.settings.dynamodb) as (process, address):
            direct = direct_client(stack.settings.dynamodb)
            with AmazonDaxClient(endpoint_url=f"dax://{address}", **CREDENTIALS) as client:
                table = tables.make(direct, "ss")
                _fill(client, table)
                return [*_clients(client, direct, table), _core(process, address, table)]


@contextmanager
def _node(folder: Path, endpoint: str) -> Iterator[tuple[psutil.Process, str]]:
    """A node in a process of its own, and its address."""
    command = [sys.executable, "-m", "dax", "serve", "--port", "0", "--http-port", "0"]
    env = os.environ | {"DAX_ENDPOINT": endpoint, "DAX_STATE": str(folder / "dax")}
    running = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        yield psutil.Process(running.pid), json.loads(running.stdout.readline())["address"]
    finally:
        running.terminate()
        running.wait(30)
        running.stdout.close()


def _key(n: int) -> dict[str, Any]:
    return {"pk": {"S": f"site-{n % 50}"}, "sk": {"S": f"hour-{n:06d}"}}


def _fill(client: Any, table: str) -> None:
    for start in range(0, ITEMS, 25):
        puts = [
            {"PutRequest": {"Item": _key(n) | {"d": {"B": os.urandom(ITEM_BYTES)}}}}
            for n in range(start, start + 25)
        ]
        client.batch_write_item(RequestItems={table: puts})


def _clients(client: Any, direct: Any, table: str) -> list[Row]:
    """Ways to get an item, one after another in turns; medians of the rounds."""

    def cached(n: int) -> None:
        client.get_item(TableName=table, Key=_key(n % ITEMS))

    def missed(n: int) -> None:
        client.get_item(TableName=table, Key=_key(n % ITEMS), ConsistentRead=True)

    def plain(n: int) -> None:
        direct.get_item(TableName=table, Key=_key(n % ITEMS))

    ways = {"cached": cached, "missed": missed, "plain": plain}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        _seconds(way, 200)
    for _ in range(ROUNDS):
        for name, way in ways.items():
            took[name].append(_seconds(way, CLIENT_GETS if name == "cached" else CLIENT_GETS // 5))
    ms = {name: statistics.median(times) * 1_000 for name, times in took.items()}
    where = f"dax: {ITEMS:,} items of {ITEM_BYTES:,} bytes, one thread, DynamoDB Local behind and beside"
    peer: dict[str, Any] = {
        "peer": "boto3, DynamoDB Local",
        "peer_value": ms["plain"],
        "conditions": where,
    }
    faster = ms["plain"] / ms["cached"]
    return [
        Row(
            name="DAX get, cached",
            ours=ms["cached"],
            unit="ms",
            target=f"at least {FASTER_MIN} times faster",
            ok=faster >= FASTER_MIN,
            **peer,
        ),
        Row(name="DAX get, passed through", ours=ms["missed"], unit="ms", **peer),
    ]


def _seconds(way: Callable[[int], None], count: int) -> float:
    """Of one call."""
    start = time.perf_counter()
    for n in range(count):
        way(n)
    return (time.perf_counter() - start) / count


def _core(process: psutil.Process, address: str, table: str) -> Row:
    """Gets of cached items a second of the node's processor time, system calls included."""
    requests = [
        get_item(table, text(key["pk"]["S"]) + key["sk"]["S"].encode()) for key in map(_key, range(ITEMS))
    ]
    sockets = [_opened(address) for _ in range(CONNECTIONS)]
    size = len(_answer(sockets[0], requests[0]))
    before = _processor_s(process)
    for n in range(0, WIRE_GETS, CONNECTIONS):
        for at, connected in enumerate(sockets):
            connected.sendall(requests[(n + at) % ITEMS])
        for connected in sockets:
            _exactly(connected, size)
    rate = WIRE_GETS / (_processor_s(process) - before)
    for connected in sockets:
        connected.close()
    return Row(
        name="DAX node, cached gets",
        ours=rate,
        unit="gets/s a core",
        target=f"at least {PER_CORE_MIN:,}",
        ok=rate >= PER_CORE_MIN,
        conditions=f"dax: {CONNECTIONS} connections over loopback, answers of {size:,} bytes",
    )


def _opened(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    connected = socket.create_connection((host, int(port)), timeout=30)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.sendall(OPENING)
    return connected


def _answer(connected: socket.socket, request: bytes) -> bytes:
    """The first answer, which comes whole: it is small."""
    connected.sendall(request)
    time.sleep(0.2)
    return connected.recv(1 << 20)


def _exactly(connected: socket.socket, size: int) -> None:
    while size:
        size -= len(connected.recv(size))


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)

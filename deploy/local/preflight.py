"""What could stop the stack, found before anything starts and said with its remedy."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from typing import Final

import psutil

from deploy.local.java import find_java
from deploy.local.parts import Part
from recount.errors import SetupError
from recount.settings import Settings

MEMORY_NEEDED_BYTES: Final = 1_500_000_000
MEMORY_COMFORTABLE_BYTES: Final = 2_500_000_000


def preflight(settings: Settings, parts: Sequence[Part]) -> list[str]:
    """Warnings to show. Raises SetupError where a start cannot succeed."""
    check_ports(settings.host, parts)
    if any(part.name in ("kafka", "dynamodb") for part in parts):
        find_java()
    return check_memory(psutil.virtual_memory().available)


def check_memory(available_bytes: int) -> list[str]:
    amount = f"{available_bytes / 1e9:.1f} GB of memory available"
    if available_bytes < MEMORY_NEEDED_BYTES:
        needed = f"{MEMORY_COMFORTABLE_BYTES / 1e9:.1f} GB"
        raise SetupError(
            "memory", f"only {amount}; the stack needs {needed}", "close other programs, then try again"
        )
    if available_bytes < MEMORY_COMFORTABLE_BYTES:
        return [f"only {amount}: the stack may be slow"]
    return []


def check_ports(host: str, parts: Iterable[Part]) -> None:
    """Raises SetupError naming part, port, holder and the setting that moves it."""
    seen: dict[int, str] = {}
    for part in parts:
        for port in part.ports():
            if port in seen:
                raise SetupError(
                    part.name,
                    f"port {port} is also that of {seen[port]}",
                    f"set {part.port_setting} to another one",
                )
            seen[port] = part.name
            if not port_is_free(host, port):
                raise SetupError(
                    part.name,
                    f"port {port} is taken by {holder_of(port)}",
                    f"stop that program, or set {part.port_setting} to another port",
                )


def port_is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder_of(port: int) -> str:
    """The listening program in words."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return "a program of another user"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.pid and port in connection.laddr[1:]:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                break
    return "another program"

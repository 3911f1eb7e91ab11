"""TLS and HTTP/2 at the front, with a certificate made for the test."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from recount.settings import Settings
from tests.integration.front_door import DEADLINE_S, FrontDoor, another_haproxy
from tests.stack import TestStack

pytestmark = pytest.mark.stack

HEADERS_FRAME, SETTINGS_FRAME = 0x1, 0x4
END_OF_STREAM_AND_HEADERS = 0x5
STATUS_200 = 0x88  # RFC 7541, appendix A


def write_certificate(path: Path) -> None:
    """A key and a certificate for 127.0.0.1 signed with it, in one PEM file as HAProxy wants it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "front.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)


@pytest.fixture(scope="module")
def secured(stack_parts: TestStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder / "front.pem")
    with another_haproxy(
        FrontDoor(stack_parts), folder / "state", front_certificate=str(folder / "front.pem")
    ) as settings:
        yield settings


def context_of(settings: Settings, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.front_certificate)
    context.set_alpn_protocols(list(protocols))
    return context


def connected(settings: Settings, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((settings.host, settings.front_port), timeout=DEADLINE_S)
    return context.wrap_socket(plain, server_hostname=settings.host)


def test_the_front_speaks_tls_with_its_certificate(secured: Settings) -> None:
    assert secured.public_url.startswith("https://")
    with httpx.Client(verify=context_of(secured, "http/1.1"), trust_env=False) as client:
        answer = client.get(secured.public_url + "/recount.js")
    assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")


def test_protocols_are_negotiated_and_old_ones_refused(secured: Settings) -> None:
    with connected(secured, context_of(secured, "h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.version() == "TLSv1.3"
    old = context_of(secured, "http/1.1")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        connected(secured, old)


def test_a_request_over_http2(secured: Settings) -> None:
    with connected(secured, context_of(secured, "h2")) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS_FRAME, 0, 0, b""))
        connection.sendall(
            frame(HEADERS_FRAME, END_OF_STREAM_AND_HEADERS, 1, get("127.0.0.1", "/recount.js"))
        )
        while True:
            length, kind, stream = header(exactly(connection, 9))
            payload = exactly(connection, length)
            if (kind, stream) == (HEADERS_FRAME, 1):
                break
    assert payload[0] == STATUS_200


def get(host: str, path: str) -> bytes:
    """A GET as a block of HPACK: two entries of its static table, two literals with names of it."""
    return (
        b"\x82\x87"
        + b"\x01"
        + bytes([len(host)])
        + host.encode()
        + b"\x04"
        + bytes([len(path)])
        + path.encode()
    )


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(head: bytes) -> tuple[int, int, int]:
    """Length, type and stream of a frame."""
    return int.from_bytes(head[:3], "big"), head[3], int.from_bytes(head[5:9], "big")


def exactly(connection: ssl.SSLSocket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        chunk = connection.recv(size - len(found))
        assert chunk, "the connection ended"
        found += chunk
    return found

"""The node as a process: start and stop, TLS, restarts, and a DynamoDB that is away."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from amazondax import AmazonDaxClient
from amazondax.DaxError import DaxClientError
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dax.errors import SetupError
from deploy.local.layout import ROOT
from tests.dax import tables
from tests.dax.running import CREDENTIALS, RunningNode, settings
from tests.dax.wire import Wire, connected, data, get_item, opened, request

Own = Callable[..., RunningNode]
NOBODY = "http://127.0.0.1:9"


@contextmanager
def process(
    folder: Path, endpoint: str, *options: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`python -m dax serve`, and what it logged when it had started."""
    command = [sys.executable, "-m", "dax", "serve", "--port", "0", "--http-port", "0", *options]
    env = os.environ | {"DAX_STATE": str(folder), "DAX_ENDPOINT": endpoint, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        yield running, json.loads(running.stdout.readline() or "{}")
    finally:
        running.kill()
        running.wait(30)
        running.stdout.close()


def port_of(started: dict[str, Any]) -> int:
    return int(started["address"].rpartition(":")[2])


def test_the_command_serves_until_it_is_told_to_stop(dynamodb: str, tmp_path: Path) -> None:
    with process(tmp_path, dynamodb) as (running, started):
        assert started["event"] == "node started"
        assert httpx.get(f"http://{started['http']}/readyz").status_code == 200
        client = AmazonDaxClient(endpoint_url=f"dax://{started['address']}", **CREDENTIALS)
        with client, pytest.raises(ClientError, match="ResourceNotFound"):
            client.get_item(TableName="dax-none", Key={"pk": {"S": "x"}})
        command = [sys.executable, "-m", "dax", "flush", "--http", started["http"]]
        flushed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        assert flushed.stdout == "0 entries forgotten\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 0


def test_what_stops_the_start_is_said(own_node: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    first = own_node()
    absent = tmp_path / "absent.pem"
    for changes, words in (
        ({"port": first.server.port}, f"cannot listen on 127.0.0.1:{first.server.port}"),
        ({"http_port": first.server.http_port}, f"cannot serve HTTP on 127.0.0.1:{first.server.http_port}"),
        ({"state": first.server.node.settings.state}, "another node uses"),
        ({"tls_certificate": absent}, "certificate or key cannot be read"),
        ({"tls_key": absent}, "without --tls-certificate"),
        ({"advertise": "nowhere"}, "give it as host:port"),
        ({"advertise": "no.such.host.invalid:1"}, "cannot be resolved"),
        ({"endpoint": "http://dynamodb.example:8000"}, "no AWS credentials"),
    ):
        with pytest.raises(SetupError, match=words):
            own_node(**changes)


def test_the_command_says_what_stops_the_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dax", "serve", "--advertise", "nowhere", "--state", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: --advertise 'nowhere': give it as host:port" in done.stderr


def test_a_client_outlives_the_node(dynamodb: str, tmp_path: Path, direct: Any) -> None:
    """It remembers the numbers of attribute lists for ever, so a new node must know them."""
    table = tables.make(direct, "s")
    key = {"pk": {"S": "x"}}
    with process(tmp_path, dynamodb) as (_, started):
        client = AmazonDaxClient(endpoint_url=f"dax://{started['address']}", **CREDENTIALS)
        client.put_item(TableName=table, Item=key | {"a": {"S": "1"}, "b": {"S": "2"}})
    with client, process(tmp_path, dynamodb, "--port", str(port_of(started))):
        item = key | {"a": {"S": "3"}, "b": {"S": "4"}}
        _when_found(lambda: client.put_item(TableName=table, Item=item))
        assert direct.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"] == item
        assert client.get_item(TableName=table, Key=key)["Item"] == item


def _when_found(work: Callable[[], object]) -> None:
    """The client looks every few seconds whether the node is there again."""
    deadline = time.monotonic() + 60
    while True:
        try:
            work()
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoRouteException" or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def test_a_node_that_lost_its_state_refuses_instead_of_mixing_names(
    own_node: Own, direct: Any, table_pairs: tuple[dict[str, str], dict[str, str]]
) -> None:
    table = data(table_pairs[0]["s"].encode())
    values = b"\x1b" + (12345).to_bytes(8, "big") + b"\x61x"
    with opened(own_node().server.port) as wire:
        wire.send(request("putItem", table, data(b"lost"), data(values), b"\xf6"))
        _, message, (_, code, _) = wire.read()
    assert "unknown to this node" in message
    assert code == "ValidationException"
    assert "Item" not in direct.get_item(TableName=table_pairs[0]["s"], Key={"pk": {"S": "lost"}})


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = tmp_path / "node.pem"
    file.write_bytes(
        made.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def test_tls(own_node: Own, certificate: Path, table_pairs: tuple[dict[str, str], dict[str, str]]) -> None:
    own = own_node(tls_certificate=certificate)
    port = own.server.port
    script = f"""
from amazondax import AmazonDaxClient
client = AmazonDaxClient(endpoint_url="daxs://127.0.0.1:{port}", **{CREDENTIALS!r})
item = {{"pk": {{"S": "tls"}}, "d": {{"B": bytes(100_000)}}}}
client.put_item(TableName={table_pairs[1]["s"]!r}, Item=item)
assert client.get_item(TableName={table_pairs[1]["s"]!r}, Key={{"pk": {{"S": "tls"}}}})["Item"] == item
"""
    env = os.environ | {"SSL_CERT_FILE": str(certificate)}
    subprocess.run([sys.executable, "-c", script], env=env, timeout=60, check=True)
    with connected(port, ssl.create_default_context(cafile=certificate)) as wire:
        _converse(wire, table_pairs[1]["s"])
    with connected(port) as plain:
        plain.send(b"\x67J7yne5G\x00\xf6\xf6\x00")
        assert plain.is_closed()


def _converse(wire: Wire, table: str) -> None:
    wire.send(b"\x67J7yne5G\x00\xf6\xf6\x00" + get_item(table, b"tls"))
    envelope, _ = wire.read()
    assert envelope == []


def test_dynamodb_away(tmp_path: Path) -> None:
    with RunningNode(settings(tmp_path, NOBODY)) as own:
        ready = httpx.get(f"{own.web}/readyz")
        assert (ready.status_code, NOBODY in ready.text) == (503, True)
        assert httpx.get(f"{own.web}/healthz").status_code == 200
        with opened(own.server.port) as wire:
            wire.send(get_item("t", b"k"))
            envelope, message, (_, code, status) = wire.read()
    assert (envelope[0], code, status) == (4, "InternalServerError", 500)
    assert f"DynamoDB at {NOBODY} gave no answer to DescribeTable" in message


def test_dynamodb_comes_back(own_node: Own, direct: Any) -> None:
    table = tables.make(direct, "s")
    own = own_node()
    with own.client() as client:
        item = {"pk": {"S": "x"}, "v": {"S": "1"}}
        client.put_item(TableName=table, Item=item)
        backend = own.server.node.backend
        there, backend.endpoint = backend.endpoint, NOBODY
        assert client.get_item(TableName=table, Key={"pk": {"S": "x"}})["Item"] == item  # from the cache
        with pytest.raises(ClientError, match="gave no answer to GetItem"):
            client.get_item(TableName=table, Key={"pk": {"S": "y"}})
        backend.endpoint = there
        assert "Item" not in client.get_item(TableName=table, Key={"pk": {"S": "y"}})


def test_the_client_says_at_once_that_no_node_is_there() -> None:
    """So the node starts before its clients."""
    with pytest.raises(DaxClientError, match="NoRoute"):
        AmazonDaxClient(endpoint_url="dax://127.0.0.1:9", **CREDENTIALS)


def test_the_resource_of_the_client(
    node: RunningNode, table_pairs: tuple[dict[str, str], dict[str, str]]
) -> None:
    with AmazonDaxClient.resource(endpoint_url=node.url, **CREDENTIALS) as resource:
        table = resource.Table(table_pairs[1]["s"])
        item = {"pk": "resource", "list": [1, {"deep": None}], "set": {"a", "b"}}
        table.put_item(Item=item)
        assert table.get_item(Key={"pk": "resource"})["Item"] == item
        with table.batch_writer() as batch:
            batch.delete_item(Key={"pk": "resource"})
        assert "Item" not in table.get_item(Key={"pk": "resource"})


def test_why_a_batch_of_writes_failed_is_said(own_node: Own, direct: Any) -> None:
    """The client would refuse its own parameters if it sent them again."""
    table = tables.make(direct, "s")
    own = own_node()
    asked = {table: [{"PutRequest": {"Item": {"pk": {"S": "x"}, "v": {"S": "1"}}}}]}
    with own.client() as client:
        client.batch_write_item(RequestItems=asked)
        own.server.node.backend.endpoint = NOBODY
        again = {table: [{"PutRequest": {"Item": {"pk": {"S": "x"}, "v": {"S": "2"}}}}]}
        with pytest.raises(ClientError, match="gave no answer to BatchWriteItem") as failed:
            client.batch_write_item(RequestItems=again)
    assert failed.value.response["Error"]["Code"] == "InternalServerError"

"""DynamoDB as the node calls it: one operation, JSON in, JSON out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session

from dax.errors import Denied, Reason, SetupError, Unreachable
from dax.metrics import Stats
from dax.settings import Settings

Json = dict[str, Any]

READS: Final = frozenset({"GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems", "DescribeTable"})
THROTTLED: Final = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}
)
RETRIES_AFTER_S: Final = (0.05, 0.2, 0.8)
CONNECT_TIMEOUT_S: Final = 2.0
IDLE_MAX_S: Final = 4.0  # less than any server keeps a connection: writes must not meet a closed one
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
TARGET: Final = "DynamoDB_20120810."


class Backend:
    """Signs, sends and retries what may be sent again: throttled calls, and reads that got no answer."""

    def __init__(self, settings: Settings, stats: Stats) -> None:
        """Raises SetupError where there is no endpoint or no credentials."""
        session = Session()
        self.endpoint = settings.endpoint or _regional(session, settings.region)
        self._signer = _Signer(session, self.endpoint, settings.region)
        self._stats = stats
        self._turns = asyncio.Semaphore(settings.calls_max)
        limits = httpx.Limits(
            max_connections=settings.calls_max,
            max_keepalive_connections=settings.calls_max,
            keepalive_expiry=IDLE_MAX_S,
        )
        timeout = httpx.Timeout(settings.call_timeout_s, connect=CONNECT_TIMEOUT_S)
        self._http = httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Json:
        """Raises Denied with DynamoDB's error, Unreachable where no answer came."""
        body = orjson.dumps(parameters)
        async with self._turns:
            for pause_s in RETRIES_AFTER_S:
                try:
                    return await self._once(operation, body)
                except (Denied, Unreachable) as error:
                    if not _may_repeat(operation, error):
                        raise
                await asyncio.sleep(pause_s)
            return await self._once(operation, body)

    async def is_reachable(self) -> bool:
        """Whether anything that speaks HTTP is there."""
        try:
            answer = await self._http.get(self.endpoint)
        except httpx.HTTPError:
            return False
        return answer.status_code < 500

    async def _once(self, operation: str, body: bytes) -> Json:
        headers = await self._signer.signed(TARGET + operation, body)
        started = time.perf_counter()
        try:
            answer = await self._http.post(self.endpoint, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"DynamoDB at {self.endpoint} gave no answer to {operation}: {type(error).__name__} {error}"
            ) from error
        finally:
            self._stats.call(operation).observe(time.perf_counter() - started)
        return _opened(operation, answer, body)


def _opened(operation: str, answer: httpx.Response, body: bytes) -> Json:
    try:
        content = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise Unreachable(
            f"DynamoDB answered {operation} with status {answer.status_code} and no JSON object"
        )
    if answer.status_code == 200:
        return content
    raise _denied(content, answer, body)


def _denied(content: Json, answer: httpx.Response, body: bytes) -> Denied:
    code = str(content.get("__type", "InternalServerError")).rpartition("#")[2]
    return Denied(
        code,
        str(content.get("message") or content.get("Message") or ""),
        status=answer.status_code,
        request_id=answer.headers.get("x-amzn-requestid"),
        reasons=_reasons(content.get("CancellationReasons"), body),
    )


def _reasons(found: object, body: bytes) -> list[Reason]:
    if not isinstance(found, list):
        return []
    actions = [next(iter(action.values())) for action in orjson.loads(body)["TransactItems"]]
    return [
        Reason(reason.get("Code") or "None", reason.get("Message"), action["TableName"], reason.get("Item"))
        for reason, action in zip(found, actions, strict=True)
    ]


def _may_repeat(operation: str, error: Denied | Unreachable) -> bool:
    if isinstance(error, Denied):
        return error.code in THROTTLED or (operation in READS and error.status >= 500)
    return operation in READS or isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout)


class _Signer:
    """Signature version 4, with credentials found as every AWS tool finds them."""

    def __init__(self, session: Session, endpoint: str, region: str) -> None:
        self._endpoint = endpoint
        self._region = region
        self._credentials = _credentials(session, endpoint)

    async def signed(self, target: str, body: bytes) -> dict[str, str]:
        credentials = self._credentials
        if isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed():
            frozen = await asyncio.to_thread(credentials.get_frozen_credentials)  # it asks over the network
        else:
            frozen = credentials.get_frozen_credentials()
        headers = {"X-Amz-Target": target, "Content-Type": CONTENT_TYPE}
        request = AWSRequest("POST", self._endpoint, data=body, headers=headers)
        SigV4Auth(frozen, "dynamodb", self._region).add_auth(request)
        return dict(request.headers)


def _credentials(session: Session, endpoint: str) -> Credentials:
    """DynamoDB Local wants a signature and takes any, so on loopback nobody need have credentials."""
    is_local = urlsplit(endpoint).hostname in ("127.0.0.1", "::1", "localhost")
    if is_local:
        session.get_component("credential_provider").remove("iam-role")  # which would ask over the network
    found: Credentials | None = session.get_credentials()
    if found is None and is_local:
        return Credentials("local", "local")
    if found is None:
        raise SetupError("no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile")
    return found


def _regional(session: Session, region: str) -> str:
    try:
        url: str = session.create_client("dynamodb", region_name=region).meta.endpoint_url
    except (BotoCoreError, ValueError) as error:
        raise SetupError(f"no DynamoDB endpoint for region {region!r}: {error}") from None
    return url

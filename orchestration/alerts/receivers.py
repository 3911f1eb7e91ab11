"""Where alerts go: a webhook, Slack, mail, SNS. Each says itself why it could not be told.

Addresses of webhooks are secrets: no error or log line holds one.
"""

from __future__ import annotations

import hashlib
import os
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urlsplit

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from orchestration.alerts import problems
from orchestration.alerts.problems import Event, Problem
from recount.errors import SetupError, Unavailable
from recount.settings import Settings

TIMEOUT_S: Final = 10.0
SUBJECT_MAX_CHARS: Final = 100  # of SNS
PASSWORD: Final = "RECOUNT_ALERT_SMTP_PASSWORD"


class Receiver(Protocol):
    """Raises Unavailable (try again) or SetupError (a setting is wrong; tried again all the same)."""

    def send(self, problem: Problem, event: Event, over_ms: int) -> None: ...


@dataclass(frozen=True)
class Webhook:
    """One JSON object by POST."""

    url: str

    def send(self, problem: Problem, event: Event, over_ms: int) -> None:
        _post("webhook", self.url, problems.as_json(problem, event, over_ms))


@dataclass(frozen=True)
class Slack:
    """An incoming webhook of Slack."""

    url: str

    def send(self, problem: Problem, event: Event, over_ms: int) -> None:
        _post("slack", self.url, {"text": problems.slack(problem, event, over_ms)})


@dataclass(frozen=True)
class Mail:
    """`server`: smtp://[user@]host[:port] (STARTTLS where offered, required with a user) or smtps://...

    The end of an incident answers the message of its beginning, so that they are one thread.
    """

    server: str
    sender: str
    to: str
    password_file: str = ""

    def send(self, problem: Problem, event: Event, over_ms: int) -> None:
        server = self._server()
        message = EmailMessage()
        message["Subject"] = problems.subject(problem, event)
        message["From"] = self.sender
        message["To"] = self.to
        message["Date"] = formatdate()
        message["Message-ID"] = self._id(problem, f"{event} {problem.severity}")
        if event == "over":
            message["In-Reply-To"] = message["References"] = self._id(problem, f"open {problem.severity}")
        message.set_content(problems.plain(problem, event, over_ms))
        try:
            self._deliver(server, message)
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable("mail", f"{server.hostname}: {type(error).__name__}: {error}") from None

    def _server(self) -> SplitResult:
        server = urlsplit(self.server)
        if server.scheme not in {"smtp", "smtps"} or not server.hostname or server.password:
            remedy = f"give smtp://user@host:587 or smtps://user@host, the password in {PASSWORD} or a file"
            raise SetupError("alerts", "RECOUNT_ALERT_SMTP is no address of a mail server", remedy)
        if not self.sender:
            raise SetupError("alerts", "mail has no sender", "set RECOUNT_ALERT_EMAIL_FROM")
        return server

    def _deliver(self, server: SplitResult, message: EmailMessage) -> None:
        with _connected(server) as client:
            client.ehlo()
            if server.scheme == "smtp" and (client.has_extn("starttls") or server.username):
                client.starttls(context=ssl.create_default_context())
            if server.username:
                client.login(server.username, self._password())
            client.send_message(message)

    def _password(self) -> str:
        if self.password_file:
            return _read(self.password_file)
        return os.environ.get(PASSWORD, "")

    def _id(self, problem: Problem, what: str) -> str:
        digest = hashlib.sha256(f"{problem.key} {problem.since_ms} {what}".encode()).hexdigest()[:24]
        return f"<{digest}@{self.sender.rpartition('@')[2].strip('>') or 'recount'}>"


@dataclass(frozen=True)
class Sns:
    """A topic of SNS; `endpoint` is empty for AWS itself."""

    topic: str
    region: str
    endpoint: str

    def send(self, problem: Problem, event: Event, over_ms: int) -> None:
        try:
            self._client().publish(
                TopicArn=self.topic,
                Subject=problems.subject(problem, event)[:SUBJECT_MAX_CHARS],
                Message=problems.plain(problem, event, over_ms),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in (("severity", problem.severity), ("state", event))
                },
            )
        except (BotoCoreError, ClientError) as error:
            raise Unavailable("sns", str(error)) from None

    def _client(self) -> Any:
        parts = self.topic.split(":")
        if len(parts) != 6:
            remedy = "give arn:aws:sns:REGION:ACCOUNT:NAME"
            raise SetupError("alerts", "RECOUNT_ALERT_SNS_TOPIC is no ARN", remedy)
        region = parts[3] or self.region
        retries: Any = {"mode": "standard", "max_attempts": 2}
        config = Config(connect_timeout=2, read_timeout=TIMEOUT_S, retries=retries)
        if not self.endpoint:
            return boto3.client("sns", region_name=region, config=config)
        return boto3.client(
            "sns",
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=config,
        )


def receivers(settings: Settings) -> dict[str, Receiver]:
    """Those that are set up, by name."""
    found: dict[str, Receiver] = {}
    if settings.alert_webhook:
        found["webhook"] = Webhook(settings.alert_webhook)
    if settings.alert_slack:
        found["slack"] = Slack(settings.alert_slack)
    if settings.alert_email_to:
        found["mail"] = Mail(
            settings.alert_smtp,
            settings.alert_email_from,
            settings.alert_email_to,
            settings.alert_smtp_password_file,
        )
    if settings.alert_sns_topic:
        found["sns"] = Sns(settings.alert_sns_topic, settings.aws_region, settings.cloudwatch)
    return found


def _connected(server: SplitResult) -> smtplib.SMTP:
    host = server.hostname or ""
    if server.scheme == "smtp":
        return smtplib.SMTP(host, server.port or smtplib.SMTP_PORT, timeout=TIMEOUT_S)
    port, context = server.port or smtplib.SMTP_SSL_PORT, ssl.create_default_context()
    return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)


def _post(name: str, url: str, body: dict[str, object]) -> None:
    """`url` may be `@` and the path of a file that holds it."""
    target = _read(url[1:]) if url.startswith("@") else url
    try:
        answer = httpx.post(target, json=body, timeout=TIMEOUT_S)
    except httpx.InvalidURL:
        raise SetupError("alerts", f"the address of {name} is no URL", "correct it") from None
    except httpx.HTTPError as error:
        raise Unavailable(name, type(error).__name__) from None
    if not answer.is_success:
        raise Unavailable(name, f"it answered {answer.status_code}")


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise SetupError(
            "alerts", f"{path} cannot be read: {error.strerror}", "see that it is there"
        ) from None

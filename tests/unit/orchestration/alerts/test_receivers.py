"""What receivers get, on real servers of this machine; and that no secret is in what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.alerts.problems import Links, away
from orchestration.alerts.receivers import Mail, Slack, Sns, Webhook, receivers
from recount.errors import SetupError, Unavailable
from recount.settings import Settings
from tests.receiving import Received, http_receiver, smtp_receiver

PROBLEM = away("kafka", "no <answer> & no hope", 1_790_002_800_000, Links("http://dagster.example"))
OVER_MS = PROBLEM.since_ms + 90_000


@pytest.fixture
def http() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


@pytest.fixture
def smtp() -> Iterator[Received]:
    with smtp_receiver() as received:
        yield received


def test_a_webhook_gets_everything_as_json(http: Received) -> None:
    Webhook(http.address).send(PROBLEM, "open", 0)
    (body,) = http.bodies
    assert body["incident"] == "away/kafka"
    assert (body["state"], body["severity"]) == ("open", "critical")
    assert (body["since"], body["since_ms"]) == ("2026-09-21 15:00:00 UTC", PROBLEM.since_ms)
    assert body["link"] == "http://dagster.example"
    assert body["what"]
    assert body["todo"]


def test_slack_gets_one_escaped_text(http: Received) -> None:
    Slack(http.address).send(PROBLEM, "open", 0)
    (body,) = http.bodies
    assert list(body) == ["text"]
    lines = body["text"].split("\n")
    assert lines[0] == ":rotating_light: *[Recount] critical: kafka does not answer*"
    assert "no &lt;answer&gt; &amp; no hope" in lines[1]
    assert lines[2] == "Since 2026-09-21 15:00:00 UTC."
    assert lines[3].startswith("What to do: ")
    assert lines[4] == "<http://dagster.example|Look here>"


def test_mail_of_one_incident_is_one_thread(smtp: Received) -> None:
    mail = Mail(smtp.address, "recount@site.example", "a@site.example, b@site.example")
    mail.send(PROBLEM, "open", 0)
    mail.send(PROBLEM, "over", OVER_MS)
    first, last = smtp.mails
    assert first["Subject"] == "[Recount] critical: kafka does not answer"
    assert first["To"] == "a@site.example, b@site.example"
    assert "What to do: Start kafka again" in first.get_content().replace("\n", " ")
    assert last["Subject"] == "[Recount] over: kafka does not answer"
    assert last["In-Reply-To"] == first["Message-ID"] != last["Message-ID"]
    assert "over at 2026-09-21 15:01:30 UTC (after 1 min 30 s)" in last.get_content()


def test_a_mail_server_that_refuses_is_asked_again(smtp: Received) -> None:
    smtp.answers = [451]
    with pytest.raises(Unavailable, match="451"):
        Mail(smtp.address, "r@x.example", "a@x.example").send(PROBLEM, "open", 0)
    assert smtp.mails == []


def test_a_password_never_goes_over_an_open_line(smtp: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOUNT_ALERT_SMTP_PASSWORD", "very secret")
    server = smtp.address.replace("smtp://", "smtp://user@")
    with pytest.raises(Unavailable) as raised:
        Mail(server, "r@x.example", "a@x.example").send(PROBLEM, "open", 0)
    assert "STARTTLS" in str(raised.value)
    assert "very secret" not in str(raised.value)


@pytest.mark.parametrize("status", [301, 404, 500])
def test_an_error_tells_no_secret(http: Received, status: int) -> None:
    http.answers = [status]
    secret = f"{http.address}/services/T0/B0/secret"
    with pytest.raises(Unavailable, match=str(status)) as raised:
        Slack(secret).send(PROBLEM, "open", 0)
    assert "secret" not in str(raised.value)


def test_nobody_there() -> None:
    for receiver in (
        Webhook("http://127.0.0.1:9/secret"),
        Mail("smtp://127.0.0.1:9", "r@x.example", "a@x.example"),
        Sns("arn:aws:sns:eu-central-1:1:t", "", "http://127.0.0.1:9"),
    ):
        with pytest.raises(Unavailable) as raised:
            receiver.send(PROBLEM, "open", 0)
        assert "secret" not in str(raised.value)


def test_an_address_can_come_from_a_file(http: Received, tmp_path: Path) -> None:
    kept = tmp_path / "slack"
    kept.write_text(f"{http.address}\n")
    Slack(f"@{kept}").send(PROBLEM, "open", 0)
    assert len(http.bodies) == 1
    with pytest.raises(SetupError, match="cannot be read"):
        Slack(f"@{tmp_path}/none").send(PROBLEM, "open", 0)


@pytest.mark.parametrize(
    "receiver",
    [
        Mail("mail.example", "r@x.example", "a@x.example"),
        Mail("smtp://user:secret@mail.example", "r@x.example", "a@x.example"),
        Mail("smtp://mail.example", "", "a@x.example"),
        Sns("my-topic", "", ""),
        Webhook("no url"),
    ],
    ids=str,
)
def test_a_wrong_setting_says_what_to_do(receiver: Mail | Sns | Webhook) -> None:
    with pytest.raises((SetupError, Unavailable)) as raised:
        receiver.send(PROBLEM, "open", 0)
    assert "secret" not in str(raised.value)


def test_only_what_is_set_up_is_told() -> None:
    assert receivers(Settings()) == {}
    every = receivers(
        Settings(
            alert_webhook="http://h/", alert_slack="http://s/", alert_email_to="a@b", alert_sns_topic="t"
        )
    )
    assert list(every) == ["webhook", "slack", "mail", "sns"]

"""The pages of operators: who may see them, and what they say of a reprocessing."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from flask.testing import FlaskClient

from dashboard_svc.app import create_app
from dashboard_svc.comparisons import KEPT_MAX, Comparisons
from dashboard_svc.desk import Desk
from recount.counting.rollup import merge
from recount.errors import Unavailable
from recount.publishing.thresholds import Threshold
from recount.rules import EVERY_SITE, BotRule, Exclusion, Rules
from recount.store.catalog import Catalog, Site
from recount.store.manifests import Publication
from tests.publishing import Press
from tests.rollups import hour_rollup
from tests.unit.dashboard.fake import FakeAnswerer, services

HOURS = ["2026-10-30T08", "2026-10-30T09", "2026-10-31T10"]
PAGE = "/operator/reprocessings/r1"
FRONT = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": "stats.example"}


@pytest.fixture
def press(tmp_path: Path) -> Press:
    press = Press(tmp_path, thresholds=[Threshold("pageviews", 0.01)])
    press.publish({hour: hour_rollup(hour, ["utc", "berlin"]) for hour in HOURS})
    press.reprocess("r1", {hour: changed(hour) for hour in HOURS})
    return press


@pytest.fixture
def desk(press: Press) -> Desk:
    comparisons = Comparisons(press.review, press.manifests)
    run_url = "http://dagster/runs/{}".format
    return Desk(
        *(press.reprocessings, press.manifests, press.review, comparisons, press.log, press.rulebook),
        *(Catalog(press.roots).sites, run_url),
    )


@pytest.fixture
def operator(desk: Desk) -> FlaskClient:
    return create_app(services(FakeAnswerer()), desk).test_client()


def changed(hour: str) -> Any:
    return merge([hour_rollup(hour, ["utc", "berlin"]), hour_rollup(hour, ["utc"], 5, 3)])


def compared(client: FlaskClient, path: str = PAGE) -> str:
    """The page once its comparison is done."""
    for _ in range(600):
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        if "Refresh" not in answer.headers:
            return answer.text
        time.sleep(0.05)
    pytest.fail("the comparison is never done")


@pytest.mark.parametrize("path", ["/operator", "/operator/", "/operator/rules", PAGE, f"{PAGE}/changes.csv"])
def test_only_operators_get_in(operator: FlaskClient, path: str) -> None:
    def status(headers: dict[str, str], peer: str = "127.0.0.1") -> int:
        return operator.get(path, headers=headers, environ_base={"REMOTE_ADDR": peer}).status_code

    compared(operator)
    assert status({}) == 200
    assert status({}, "::1") == 200
    assert status({}, "203.0.113.7") == 403
    assert status({}, "") == 403
    assert status(FRONT) == 403
    assert status({"Forwarded": "for=203.0.113.7"}) == 403
    assert status(FRONT | {"Recount-Operator": "operator"}) == 200
    assert status({"Recount-Operator": "operator"}, "203.0.113.7") == 403


def test_nothing_of_it_is_kept_and_without_a_desk_there_is_none(
    operator: FlaskClient, client: FlaskClient
) -> None:
    assert operator.get("/operator/").headers["Cache-Control"] == "private, no-store"
    assert operator.get("/operator/reprocessings/nothing").status_code == 400
    assert client.get("/operator/").status_code == 404


def test_the_list(operator: FlaskClient, press: Press) -> None:
    press.reprocessings.change(press.reprocessings.get("r1"), state="discarded")
    text = operator.get("/operator/").text
    for said in (f'href="{PAGE}"', "discarded", f"{HOURS[0]} to {HOURS[-1]}", "3 of 51 hours"):
        assert said in text or said.replace("51", "3") in text


def test_the_diff_is_made_in_the_background_and_says_what_blocks(operator: FlaskClient) -> None:
    text = compared(operator)
    assert "reprocessing r1" in text
    assert "utc: pageviews moves by +50.0% (18 -&gt; 27), more than 1% needs an approval" in text
    assert "./recount publish r1 --approve &#34;why it is right&#34;" in text
    assert "Values that move most" in text
    first = text[text.index('<a href="?site=utc&amp;metric=visitors">utc</a>') :]
    assert first.index("<td>pageviews</td><td>18</td><td>27</td><td>+50.0%</td>") < first.index(">berlin</a>")
    assert "By day" not in text


def test_one_site_by_day_and_another_metric(operator: FlaskClient) -> None:
    compared(operator)
    text = operator.get(f"{PAGE}?site=utc&metric=pageviews").text
    assert '<th scope="row">2026-10-30</th><td>pageviews</td><td>12</td><td>18</td>' in text
    assert ">berlin<" not in text
    for query in ("site=nobody", "metric=happiness"):
        assert operator.get(f"{PAGE}?{query}").status_code == 400


def test_every_change_as_a_file(operator: FlaskClient) -> None:
    compared(operator)
    csv = operator.get(f"{PAGE}/changes.csv")
    parquet = operator.get(f"{PAGE}/changes.parquet?site=utc")
    assert csv.headers["Content-Disposition"] == 'attachment; filename="r1-changes.csv"'
    rows = pl.read_csv(io.BytesIO(csv.data))
    same = pl.read_parquet(io.BytesIO(parquet.data))
    assert rows.height == same.height > 10
    views = rows.filter((pl.col("dimension") == "total") & (pl.col("metric") == "pageviews"))
    assert views.select("day", "site", "old", "new").rows() == [
        ("2026-10-30", "utc", 12, 18),
        ("2026-10-31", "utc", 6, 9),
    ]
    assert operator.get(f"{PAGE}/changes.xlsx").status_code == 404


def test_an_approval_is_shown_and_holds_for_these_candidates_only(
    operator: FlaskClient, press: Press
) -> None:
    press.review.approve(press.reprocessings.get("r1"), "ada", "checked by hand", 1_795_000_000_000)
    text = compared(operator)
    assert "ada on 2026-11-18 11:06 UTC: checked by hand." in text
    assert "./recount publish r1</pre>" in text
    done = press.reprocessings.hours("r1")[HOURS[0]]
    again = press.candidate(HOURS[0], changed(HOURS[0]))
    press.reprocessings.put_hours("r1", [msgspec.structs.replace(done, generation=again.generation)])
    assert "no longer counts" in compared(operator)


def published(press: Press) -> Publication:
    press.review.approve(press.reprocessings.get("r1"), "ada", "checked", 1)
    return press.corrections.publish("r1")


def test_what_is_published_shows_what_customers_read(operator: FlaskClient, press: Press) -> None:
    made = published(press)
    text = operator.get(PAGE).text
    assert f"./recount rollback {made.id}" in text
    assert "utc: Numbers of 30 – 31 Oct 2026 were corrected on" in text
    assert "pageviews 18 → 27" in text


def test_a_comparison_that_failed_is_made_again(
    desk: Desk, press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unavailable("dynamodb", "gone")

    request = press.reprocessings.get("r1")
    with monkeypatch.context() as patched:
        patched.setattr("dashboard_svc.comparisons.Review.compare", away)
        assert isinstance(desk.comparisons.of(request).future.exception(60), Unavailable)
    assert not desk.comparisons.of(request).future.result(60).is_empty


def test_only_the_newest_comparisons_are_kept(desk: Desk, press: Press) -> None:
    make: Callable[[int], Any] = lambda n: press.reprocess(f"n{n}", {HOURS[0]: changed(HOURS[0])})  # noqa: E731
    requests = [make(n) for n in range(KEPT_MAX + 1)]
    jobs = [desk.comparisons.of(request) for request in requests]
    for job in jobs:
        job.future.result(60)
    assert desk.comparisons.of(requests[-1]) is jobs[-1]
    assert desk.comparisons.of(requests[0]) is not jobs[0]


def test_the_rules_that_a_reprocessing_counts_by_are_said_in_words(
    press: Press, operator: FlaskClient
) -> None:
    probe = BotRule(counts_as="bot", by="user_agent", pattern="*<Probe>*")
    made = press.rulebook.edit(
        press.rulebook.common(), Rules(bots=(probe,)), by="eve", why="new", now_ms=press.clock_ms
    )
    request = press.reprocessings.get("r1")
    press.reprocessings.change(request, rules={EVERY_SITE: made.version, "gone": 3})
    page = compared(operator)
    assert "Rules 2 for all sites, against 1:" in page
    assert "+ bot user_agent *&lt;Probe&gt;*" in page
    assert "Rules 3 of gone are not known any more" in page


def test_the_rules_in_force_are_said_in_words(press: Press, operator: FlaskClient) -> None:
    assert "Rules 1 for all sites" in operator.get("/operator/rules").text
    own = Rules(exclusions=(Exclusion(kind="country", pattern="DE"),))
    Catalog(press.roots).add(Site(id="utc", domain="utc.example").ruled(own, 4))
    Catalog(press.roots).add(Site(id="plain", domain="plain.example"))
    made = press.rulebook.edit(press.rulebook.common(), own, by="eve", why="", now_ms=press.clock_ms)
    press.rulebook.bring_into_force(EVERY_SITE, made.version, {}, how="", now_ms=press.clock_ms)
    page = operator.get("/operator/rules").text
    assert "Rules 2 for all sites" in page
    assert "(UTC) on" in page
    assert "recount rules history &#39;*&#39;" in page
    assert "Rules 4 of utc" in page
    assert "exclude country DE" in page
    assert "plain" not in page

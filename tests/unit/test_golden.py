"""One archive, one answer: a change of results without a new LOGIC_VERSION is refused.

After a deliberate change: raise LOGIC_VERSION in src/recount/counting/fold.py; `python -m
tests.unit.test_golden` then writes the answer of the new version beside the old ones, which stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from recount.counting.counted import Counted, with_counts
from recount.counting.fold import LOGIC_VERSION, Rollup, fold
from recount.counting.rebuild import day_rollup, month_rollup
from recount.counting.visits import cut
from recount.interpret import Interpreter
from recount.periods import HOUR_MS, MINUTE_MS, day_of, month_of
from recount.rules import BotRule, Exclusion, Goal, Rules, SourceRule
from recount.store.catalog import Site
from tests.sequences import FIREFOX, GOOGLEBOT, SAFARI, START, Row, event, frame

GOLDEN: Final = Path(__file__).parent / "golden" / f"rollup-{LOGIC_VERSION}.jsonl"
PERIODS: Final = GOLDEN.with_name(f"periods-{LOGIC_VERSION}.jsonl")  # the day and the month made of it
RULED: Final = GOLDEN.with_name(f"rules-{LOGIC_VERSION}.jsonl")  # the same events under rules of every kind
FOLD: Final = "src/recount/counting/fold.py"
EVENTS: Final = 240
SITES: Final = {
    "demo": Site(
        id="demo",
        domain="demo.example",
        goals=(Goal(name="signed up", event="signup"), Goal(name="read", page="/blog/*")),
    ),
    "mumbai": Site(id="mumbai", domain="mumbai.example", timezone="Asia/Kolkata"),
}
RULES: Final = Rules(
    goals=SITES["demo"].goals,
    exclusions=(
        Exclusion(kind="page", pattern="/blog/b*"),
        Exclusion(kind="hostname", pattern="www.*"),
        Exclusion(kind="country", pattern="US"),
        Exclusion(kind="referrer", pattern="a.example/p"),
        Exclusion(kind="source", pattern="X (*"),
        Exclusion(kind="network", pattern="business"),
        Exclusion(kind="verdict", pattern="library"),
    ),
    bots=(
        BotRule(counts_as="bot", by="user_agent", pattern="*iphone*"),
        BotRule(counts_as="human", by="network", pattern="hosting"),
        BotRule(counts_as="human", by="user_agent", pattern="*googlebot*"),
    ),
    sources=(
        SourceRule(by="referrer", pattern="google.com", source="Search", channel="Organic Search"),
        SourceRule(by="utm_source", pattern="news", source="Newsletter"),
    ),
)

_URLS: Final = (
    *(
        "https://demo.example/",
        "https://demo.example/blog/a?utm_source=news&utm_medium=email&utm_campaign=may",
    ),
    *("https://www.demo.example/blog/b#top", "/relative", "https://demo.example/pricing?gclid=x1", None),
)
_REFERRERS: Final = (
    *(None, "https://www.google.com/", "https://demo.example/", "https://t.co/x", "https://a.example/p?q"),
)
_AGENTS: Final = (FIREFOX, SAFARI, FIREFOX, GOOGLEBOT, SAFARI, None, "curl/8.0")
_PLACES: Final = (("DE", "DE-BE"), ("US", None), (None, None))
_ACTS: Final[tuple[Row, ...]] = (
    {"kind": "pageview"},
    {"kind": "engagement", "engaged_ms": 12_000, "scroll_percent": 60},
    {"kind": "pageview"},
    {"kind": "event", "name": "signup", "props": '{"plan":"pro","seats":3}'},
    {"kind": "engagement", "engaged_ms": 3_000, "scroll_percent": 90},
    {"kind": "event", "name": "outbound", "props": '{"url":"https://x.example/a","tab":true}'},
    {"kind": "event", "name": "buy", "revenue_amount": "19.990001", "revenue_currency": "EUR"},
    {"kind": "event", "name": "download", "props": '{"url":"/f.pdf"}', "revenue_amount": "1"},
)


def golden_events() -> list[Row]:
    """The same for ever: numbers from a plain linear congruence choose every fact."""
    state, rows = 1, []
    for number in range(1, EVENTS + 1):
        state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        pick = state >> 16
        country, region = _PLACES[pick % 3]
        rows.append(
            event(
                at=number * 2 * MINUTE_MS // 3 + pick % MINUTE_MS,
                seq=number,
                site=("demo", "demo", "mumbai")[pick // 3 % 3],
                visitor=pick // 9 % 17 * 2**59 + 1,
                url=_URLS[pick // 150 % 6],
                referrer=_REFERRERS[pick // 900 % 5],
                ua=_AGENTS[pick // 9 % 17 % 7],
                lang=("de-DE", "en", None)[pick // 5_000 % 3],
                screen=("1920x1080", "390x844", None)[pick // 15_000 % 3],
                country=country,
                region=region,
                network=(None, "residential", "residential", "hosting")[pick // 50_000 % 4],
                **_ACTS[pick // 200_000 % 8],
            )
        )
    return rows


def golden_rollup(sites: Mapping[str, Site] = SITES) -> Rollup:
    done = cut(frame(golden_events()), None, START + 4 * HOUR_MS)
    return fold(done.events, done.ends, sites, Interpreter())


def ruled_rollup() -> Rollup:
    return golden_rollup(SITES | {"demo": SITES["demo"].ruled(RULES, 2)})


def golden_periods() -> list[Counted]:
    """The day and the month of the golden hours; `mumbai` without visitor sets, as with daily ids."""
    zones = {name: site.timezone for name, site in SITES.items()}
    day = with_counts(day_rollup(golden_rollup(), day_of(START, "UTC"), zones))
    visitors = pl.when(pl.col("site") == "demo").then(pl.col("visitors"))
    without = Counted(day.rows.with_columns(visitors), day.revenue)
    return [day, month_rollup(without, month_of(START, "UTC"), zones)]


def periods_of(periods: Sequence[Counted]) -> list[str]:
    """One JSON object a row; metrics of 0 left out, visitors as their number."""
    return [
        json.dumps({name: value for name, value in row.items() if value != 0}, ensure_ascii=False)
        for period in periods
        for row in (*period.rows.drop("visitors").to_dicts(), *period.revenue.to_dicts())
    ]


def lines_of(rollup: Rollup) -> list[str]:
    """One JSON object a row; metrics of 0 left out, visitors as text."""
    shown = rollup.rows.with_columns(pl.col("visitors").list.eval(pl.element().cast(pl.String)))
    rows = [{name: value for name, value in row.items() if value not in (0, [])} for row in shown.to_dicts()]
    return [json.dumps(row, ensure_ascii=False) for row in (*rows, *rollup.revenue.to_dicts())]


@pytest.mark.parametrize("golden", [GOLDEN, RULED, PERIODS], ids=["hours", "rules", "periods"])
def test_results_change_only_with_the_logic_version(golden: Path) -> None:
    assert golden.exists(), f"no golden answer of version {LOGIC_VERSION}: python -m tests.unit.test_golden"
    found, wanted = answers()[golden], golden.read_text(encoding="utf-8").splitlines()
    changed = sorted(set(found) ^ set(wanted))[:6]
    assert found == wanted, f"results changed: raise LOGIC_VERSION in {FOLD}; some rows: {changed}"


def test_versions_only_grow_and_answers_of_old_ones_are_kept() -> None:
    """An answer is never written anew under its version, so every version has one, from the first on."""
    for kind in ("rollup", "rules", "periods"):
        known = {int(path.stem.partition("-")[2]) for path in GOLDEN.parent.glob(f"{kind}-*.jsonl")}
        assert known == set(range(1, LOGIC_VERSION + 1))


def test_the_golden_archive_has_something_of_everything() -> None:
    dimensions = set(golden_rollup().rows["dimension"])
    assert dimensions >= {
        *("total", "series", "page", "entry_page", "exit_page", "hostname", "source", "referrer", "channel"),
        *("utm_source", "utm_medium", "utm_campaign", "country", "region", "device", "browser"),
        *("browser_version", "os", "os_version", "language", "screen", "event", "prop:plan", "prop:seats"),
        *("prop:tab", "goal", "outbound", "download", "verdict"),
    }


def test_the_rules_have_all_something_to_do() -> None:
    """A golden answer of rules that fit nothing would hold nobody to anything."""
    verdicts = set(ruled_rollup().rows.filter(pl.col("dimension") == "verdict")["value"])
    kinds = ("page", "country", "referrer", "verdict")
    assert verdicts >= {"human", "own_list", *(f"excluded_{kind}" for kind in kinds)}


def answers() -> dict[Path, list[str]]:
    return {
        GOLDEN: lines_of(golden_rollup()),
        RULED: lines_of(ruled_rollup()),
        PERIODS: periods_of(golden_periods()),
    }


def _write() -> None:
    for golden, lines in answers().items():
        if golden.exists():
            raise SystemExit(f"{golden.name} exists: raise LOGIC_VERSION first")
        golden.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    _write()

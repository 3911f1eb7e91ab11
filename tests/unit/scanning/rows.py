"""A few days of a site that has something of everything."""

from __future__ import annotations

import random
from typing import Final

from recount.periods import HOUR_MS, MINUTE_MS, hour_start_ms
from tests.sequences import FIREFOX, GOOGLEBOT, SAFARI, Row, event

START: Final = hour_start_ms("2026-11-22T09")
DAYS: Final = ("2026-11-22", "2026-11-24")
BEGINNINGS: Final = (0, 1, 14, 38, 60)  # hours after START: around midnight, too
PAGES: Final = ("/", "/pricing", "/docs/a", "/docs/b")
SHOP: Final = "https://demo.example"


def visits(count: int = 60, *, site: str = "demo", seed: int = 1) -> list[Row]:
    """Visits of one to five pageviews, some with a sign-up or a purchase, some of a bot."""
    rng = random.Random(f"{seed}/{site}")
    rows: list[Row] = []
    for number in range(count):
        at = START + rng.choice(BEGINNINGS) * HOUR_MS + rng.randrange(HOUR_MS)
        facts = {
            "site": site,
            "visitor": rng.randrange(1, 30) * 2**58 + number,
            "ua": rng.choice([FIREFOX, FIREFOX, SAFARI, GOOGLEBOT]),
            "country": rng.choice(["DE", "DE", "FR", None]),
            "referrer": rng.choice([None, "https://www.google.com/", "https://news.example/x"]),
        }
        for _ in range(rng.randrange(1, 6)):
            at += rng.randrange(MINUTE_MS, 12 * MINUTE_MS)
            rows.append(event(ts=at, url=SHOP + rng.choice(PAGES), **facts))
            where, act = rows[-1]["url"], rng.random()
            if act < 0.3:
                plan = rng.choice(["free", "pro"])
                money = {"revenue_amount": "9.90", "revenue_currency": "EUR"} if plan == "pro" else {}
                props = f'{{"plan":"{plan}","seats":{rng.randrange(1, 9)}}}'
                did: Row = {"kind": "event", "name": "signup", "props": props, **money}
                rows.append(event(ts=at + 5_000, url=where, **did) | facts)
            elif act < 0.5:
                did = {"kind": "engagement", "engaged_ms": 4_000, "scroll_percent": 60}
                rows.append(event(ts=at + 9_000, url=where, **did) | facts)
    rows.sort(key=lambda row: row["ts"])
    return [
        row | {"seq": n, "offset": n, "id": f"{site}-{n}", "received": row["ts"] + 5}
        for n, row in enumerate(rows, 1)
    ]

"""Believable visits of a small software shop, drawn from weighted choices and a seeded random source.

Pure: the same seed and the same moments give the same visits.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import iptocc

Event = dict[str, Any]

HOUR_MS: Final = 3_600_000
BOT_SHARE: Final = 0.04
RETURNING_SHARE: Final = 0.2
REGULARS_MAX: Final = 2_000

_COUNTRIES: Final = (
    *((26, "US", "en-US"), (14, "DE", "de-DE"), (10, "GB", "en-GB"), (7, "FR", "fr-FR"), (6, "IN", "en-IN")),
    *((5, "NL", "nl-NL"), (5, "JP", "ja-JP"), (4, "CA", "en-CA"), (4, "BR", "pt-BR"), (3, "AU", "en-AU")),
    *((3, "ES", "es-ES"), (3, "SE", "sv-SE"), (2, "PL", "pl-PL"), (2, "CH", "de-CH"), (2, "KR", "ko-KR")),
)
_ARRIVALS: Final = (  # weight, referrer, query of the landing page
    (32, "", ""),
    (27, "https://www.google.com/", ""),
    (4, "https://www.google.de/", ""),
    (5, "https://duckduckgo.com/", ""),
    (4, "https://www.bing.com/", ""),
    (5, "https://news.ycombinator.com/item?id=4711", ""),
    (4, "https://www.reddit.com/r/selfhosted/", ""),
    (4, "https://github.com/", ""),
    (3, "https://t.co/x", ""),
    (3, "https://www.linkedin.com/", ""),
    (3, "https://chatgpt.com/", "utm_source=chatgpt.com"),
    (3, "", "utm_source=newsletter&utm_medium=email&utm_campaign=autumn-release"),
    (
        3,
        "https://www.google.com/",
        "utm_source=google&utm_medium=cpc&utm_campaign=brand&utm_term=web+analytics&gclid=demo",
    ),
)
_PAGES: Final = (
    *(
        (22, "/"),
        (14, "/pricing"),
        (11, "/docs/"),
        (9, "/docs/install"),
        (6, "/docs/events"),
        (5, "/docs/api"),
    ),
    *(
        (12, "/blog/counting-visits"),
        (8, "/blog/why-recount"),
        (5, "/blog/late-events"),
        (5, "/about"),
        (3, "/changelog"),
    ),
)
_PLANS: Final = ((5, "starter", "9.00"), (3, "team", "29.00"), (1, "business", "99.00"))


@dataclass(frozen=True)
class Visitor:
    """Who comes: one address, one browser, one country."""

    ip: str
    ua: str
    screen: str
    lang: str


class Traffic:
    """Visits of one site; `host` is the hostname in their URLs."""

    def __init__(self, host: str, seed: int) -> None:
        self._host = host
        self._random = random.Random(seed)
        agents = json.loads((Path(__file__).parent / "demo_browsers.json").read_text())
        self._browsers = tuple((b["weight"], b["screen"], b["ua"]) for b in agents["browsers"])
        self._bots = tuple((b["weight"], b["ua"]) for b in agents["bots"])
        self._addresses: dict[str, list[str]] = {}
        self._regulars: list[Visitor] = []

    def visit(self, start_ms: int) -> list[Event]:
        """The events of one visit by time: dated, with `ip` and `ua` as a server-side sender gives them."""
        if self._random.random() < BOT_SHARE:
            return self._bot_visit(start_ms)
        visitor, now = self._visitor(), start_ms
        _, referrer, query = self._pick(_ARRIVALS)
        events: list[Event] = []
        for step in range(self._steps()):
            page = self._pick(_PAGES)[1]
            url = f"https://{self._host}{page}" + (f"?{query}" if query and step == 0 else "")
            events.append(self._event(visitor, now, "pageview", url, referrer=referrer if step == 0 else ""))
            stay = int(self._random.lognormvariate(math.log(25_000), 0.9)) + 1_500
            events += self._actions(visitor, now + stay // 2, url, page)
            now += min(stay, 20 * 60_000)
            engagement = {"engaged_ms": int(stay * 0.7), "scroll_percent": self._random.randrange(20, 101)}
            events.append(self._event(visitor, now, "engagement", url, **engagement))
        return events

    def day(self, start_ms: int, visits: int) -> Iterator[list[Event]]:
        """The visits of 24 hours, quiet at night and busy in the afternoon."""
        hours = self._random.choices(range(24), weights=[_busy(h) for h in range(24)], k=visits)
        for hour in sorted(hours):
            yield self.visit(start_ms + hour * HOUR_MS + self._random.randrange(HOUR_MS))

    def _bot_visit(self, start_ms: int) -> list[Event]:
        visitor = Visitor(self._address("US"), self._pick(self._bots)[1], "", "")
        pages = [self._pick(_PAGES)[1] for _ in range(self._random.randint(1, 6))]
        return [
            self._event(visitor, start_ms + n * 2_000, "pageview", f"https://{self._host}{page}")
            for n, page in enumerate(pages)
        ]

    def _actions(self, visitor: Visitor, at: int, url: str, page: str) -> list[Event]:
        chance = self._random.random()
        if page == "/pricing" and chance < 0.10:
            plan = self._pick(_PLANS)
            paid = {"amount": plan[2], "currency": "EUR"}
            return [
                self._event(visitor, at, "event", url, name="Signup", props={"plan": plan[1]}),
                self._event(
                    visitor, at + 4_000, "event", url, name="Purchase", props={"plan": plan[1]}, revenue=paid
                ),
            ]
        if page.startswith("/docs") and chance < 0.06:
            target = {"url": f"https://{self._host}/files/recount-guide.pdf"}
            return [self._event(visitor, at, "event", url, name="download", props=target)]
        if chance > 0.95:
            return [
                self._event(visitor, at, "event", url, name="outbound", props={"url": "https://github.com/"})
            ]
        return []

    def _event(self, visitor: Visitor, ts: int, kind: str, url: str, **more: object) -> Event:
        event: Event = {"kind": kind, "ts": ts, "url": url, "ip": visitor.ip, "ua": visitor.ua}
        event |= {"id": f"{self._random.getrandbits(96):024x}"}
        event |= {
            name: value for name, value in (("lang", visitor.lang), ("screen", visitor.screen)) if value
        }
        return event | {name: value for name, value in more.items() if value}

    def _visitor(self) -> Visitor:
        if self._regulars and self._random.random() < RETURNING_SHARE:
            return self._random.choice(self._regulars)
        _, country, lang = self._pick(_COUNTRIES)
        _, screen, ua = self._pick(self._browsers)
        fresh = Visitor(self._address(country), ua, screen, lang)
        if len(self._regulars) < REGULARS_MAX:
            self._regulars.append(fresh)
        else:
            self._regulars[self._random.randrange(REGULARS_MAX)] = fresh
        return fresh

    def _address(self, country: str) -> str:
        """An address of a country: neighbours of one that the built-in table places there."""
        known = self._addresses.setdefault(country, [])
        while len(known) < 8:
            found = ".".join(str(self._random.randrange(1, 224)) for _ in range(3))
            where = iptocc.country_code(found + ".1")
            if where is not None:
                self._addresses.setdefault(where, []).append(found)
        return f"{self._random.choice(known)}.{self._random.randrange(1, 255)}"

    def _steps(self) -> int:
        return 1 if self._random.random() < 0.42 else 2 + min(int(self._random.expovariate(0.5)), 10)

    def _pick(self, weighted: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
        return self._random.choices(weighted, weights=[w[0] for w in weighted])[0]


def _busy(hour: int) -> float:
    return 1.15 + math.sin((hour - 9) / 24 * 2 * math.pi)

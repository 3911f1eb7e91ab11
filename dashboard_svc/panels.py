"""The metrics and the panels of a page: what each is called, what it asks and how its numbers read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from dashboard_svc import words


class Kind(Enum):
    COUNT = "count"
    RATIO = "ratio"
    SHARE = "share"
    SECONDS = "seconds"


@dataclass(frozen=True)
class Metric:
    """A number of the Stats API and how it is shown; `help` says in a sentence what is counted."""

    name: str
    label: str
    kind: Kind
    help: str
    lower_is_better: bool = False

    def text(self, value: float | None) -> str:
        """Short enough for a tile or a row."""
        return {
            Kind.COUNT: words.compact,
            Kind.RATIO: words.decimal,
            Kind.SHARE: words.percent,
            Kind.SECONDS: words.duration,
        }[self.kind](value)

    def exact(self, value: float | None) -> str:
        """Every digit."""
        return words.number(value) if self.kind is Kind.COUNT else self.text(value)


METRICS: Final = (
    Metric("visitors", "Visitors", Kind.COUNT, "Different people, told apart within a day only"),
    Metric("visits", "Visits", Kind.COUNT, "Stretches of activity without 30 minutes of silence"),
    Metric("pageviews", "Pageviews", Kind.COUNT, "Pages opened, in-app navigation included"),
    Metric("views_per_visit", "Views per visit", Kind.RATIO, "Pageviews divided by visits"),
    Metric("bounce_rate", "Bounce rate", Kind.SHARE, "Ended visits with one page and nothing else", True),
    Metric("visit_duration", "Visit duration", Kind.SECONDS, "From the first event of a visit to its last"),
)
OTHERS: Final = (
    Metric("events", "Events", Kind.COUNT, "Custom events"),
    Metric("exits", "Exits", Kind.COUNT, "Visits that ended on the page"),
    Metric("engagement", "Time on page", Kind.SECONDS, "Mean time in view per visitor"),
    Metric("scroll", "Scroll depth", Kind.SHARE, "Mean of the deepest point reached"),
)
BY_NAME: Final = {metric.name: metric for metric in (*METRICS, *OTHERS)}
REVENUE: Final = "revenue"


@dataclass(frozen=True)
class Tab:
    """A dimension as a list: its title, what a row is, the metrics of its table (the first sorts)."""

    dimension: str
    title: str
    row: str
    metrics: tuple[str, ...]
    empty: str = "Nothing counted in this range."

    @property
    def counted(self) -> Metric:
        """What the bars show."""
        return BY_NAME[self.metrics[0]]


@dataclass(frozen=True)
class Panel:
    name: str
    title: str
    tabs: tuple[Tab, ...]


_VISITS: Final = ("visitors", "visits", "bounce_rate", "visit_duration")
_ACTIONS: Final = ("visitors", "events", REVENUE)
_NO_EVENTS: Final = "No custom events yet. Send one: recount('Signup')"
_NO_GOALS: Final = "No goals reached."
_NO_CAMPAIGN: Final = "No campaign links opened. Tag links with utm_campaign=…"

PANELS: Final = (
    Panel(
        "pages",
        "Pages",
        (
            Tab("page", "Pages", "Page", ("visitors", "pageviews", "engagement", "scroll")),
            Tab("entry_page", "Entry", "Entry page", _VISITS),
            Tab("exit_page", "Exit", "Exit page", ("exits",)),
        ),
    ),
    Panel(
        "sources",
        "Sources",
        (
            Tab("source", "Sources", "Source", _VISITS),
            Tab("channel", "Channels", "Channel", _VISITS),
            Tab("referrer", "Referrers", "Referrer", _VISITS, "No visits from links."),
            Tab("utm_campaign", "Campaigns", "Campaign", _VISITS, _NO_CAMPAIGN),
        ),
    ),
    Panel(
        "places",
        "Places",
        (
            Tab("country", "Countries", "Country", _VISITS),
            Tab("region", "Regions", "Region", _VISITS),
            Tab("language", "Languages", "Language", _VISITS),
        ),
    ),
    Panel(
        "technology",
        "Technology",
        (
            Tab("browser", "Browsers", "Browser", _VISITS),
            Tab("os", "Systems", "System", _VISITS),
            Tab("device", "Devices", "Device", _VISITS),
            Tab("screen", "Screens", "Screen", _VISITS),
        ),
    ),
    Panel(
        "actions",
        "Actions",
        (
            Tab("event", "Events", "Event", _ACTIONS, _NO_EVENTS),
            Tab("goal", "Goals", "Goal", _ACTIONS, _NO_GOALS),
            Tab("outbound", "Outbound links", "Link", ("visitors", "events"), "No outbound links followed."),
            Tab("download", "Downloads", "File", ("visitors", "events"), "No files downloaded."),
        ),
    ),
)

MORE_TABS: Final = (
    Tab("hostname", "Hostnames", "Hostname", ("visitors", "pageviews")),
    Tab("utm_source", "Campaign sources", "utm_source", _VISITS, _NO_CAMPAIGN),
    Tab("utm_medium", "Campaign media", "utm_medium", _VISITS, _NO_CAMPAIGN),
    Tab("utm_term", "Campaign terms", "utm_term", _VISITS, _NO_CAMPAIGN),
    Tab("utm_content", "Campaign contents", "utm_content", _VISITS, _NO_CAMPAIGN),
    Tab("browser_version", "Browser versions", "Browser", _VISITS),
    Tab("os_version", "System versions", "System", _VISITS),
    Tab("verdict", "People and bots", "Verdict", ("visitors", "visits", "pageviews")),
)
TABS: Final = {tab.dimension: tab for tab in (*(t for p in PANELS for t in p.tabs), *MORE_TABS)}

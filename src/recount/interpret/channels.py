"""The channel of a visit: the first rule of one ordered list that holds.

The rules are those of GA4's default channel group, as its help page states them
(https://support.google.com/analytics/answer/9756891, with "AI Assistant" as announced on 13 May 2026), so
that numbers compare. Three deviations, where GA4 would say "Unassigned" or "Referral": an ad's click
identifier (gclid, msclkid, ...) without utm_medium counts as medium `cpc`, as it does in GA4 through account
linking; a named source without a medium (`?ref=partner`) is a referral; webmail hosts are Email.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from recount.interpret.values import DIRECT

PAID: Final = r"^(?:.*cp.*|ppc|retargeting|paid.*)$"
SHOPPING_CAMPAIGN: Final = r"^(?:.*(?:(?:[^a-df-z]|^)shop|shopping).*)$"
DISPLAY_MEDIA: Final = ["display", "banner", "expandable", "interstitial", "cpm"]
SOCIAL_MEDIA: Final = ["social", "social-network", "social-media", "sm", "social network", "social media"]
EMAIL_WORDS: Final = ["email", "e-mail", "e_mail", "e mail"]
AI_MEDIA: Final = ["ai-assistant", "ai_assistant", "ai assistant"]
REFERRAL_MEDIA: Final = ["referral", "app", "link"]


def channel() -> pl.Expr:
    """The channel, never null, from the columns `source`, `category`, `medium` and `utm_campaign`."""
    hits = pl.coalesce(pl.when(holds).then(pl.lit(name)) for name, holds in rules())
    unmatched = pl.when(pl.col("medium").is_null()).then(pl.lit("Referral")).otherwise(pl.lit("Unassigned"))
    return pl.coalesce(hits, unmatched).alias("channel")


def rules() -> tuple[tuple[str, pl.Expr], ...]:
    """Every channel with what must be true, in the order in which they are asked."""
    medium = pl.col("medium").str.to_lowercase()
    campaign = pl.col("utm_campaign").str.to_lowercase()
    source = pl.col("source").str.to_lowercase()
    category = pl.col("category")
    paid = medium.str.contains(PAID)
    shop = (category == "shopping") | campaign.str.contains(SHOPPING_CAMPAIGN)
    return (
        ("Direct", (pl.col("source") == DIRECT) & medium.is_null()),
        ("Cross-network", campaign.str.contains("cross-network", literal=True)),
        ("Paid Shopping", shop & paid),
        ("Paid Search", (category == "search") & paid),
        ("Paid Social", (category == "social") & paid),
        ("Paid Video", (category == "video") & paid),
        ("Display", medium.is_in(DISPLAY_MEDIA)),
        ("Paid Other", paid),
        ("AI Assistant", (category == "ai") | medium.is_in(AI_MEDIA)),
        ("Organic Shopping", shop),
        ("Organic Social", (category == "social") | medium.is_in(SOCIAL_MEDIA)),
        ("Organic Video", (category == "video") | medium.str.contains("video", literal=True)),
        ("Organic Search", (category == "search") | (medium == "organic")),
        ("Email", (category == "email") | source.is_in(EMAIL_WORDS) | medium.is_in(EMAIL_WORDS)),
        ("Affiliates", medium.is_in(["affiliate", "affiliates"])),
        ("Referral", medium.is_in(REFERRAL_MEDIA)),
        ("Audio", medium == "audio"),
        ("SMS", (source == "sms") | (medium == "sms")),
        (
            "Mobile Push Notifications",
            medium.str.ends_with("push")
            | medium.str.contains("mobile|notification")
            | (source == "firebase"),
        ),
    )

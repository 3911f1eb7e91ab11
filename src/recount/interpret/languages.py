"""Language tag -> language, with its region where one was sent: `en-US`, `de`."""

from __future__ import annotations

from typing import Final

import polars as pl

from recount.interpret.values import UNKNOWN, distinct

_TAG: Final = r"^\s*([A-Za-z]{2,3})(?:[-_][A-Za-z]{4})?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[-_,;.\s@]|$)"


def interpret(lang: pl.Series) -> pl.DataFrame:
    """[lang, language], one row per distinct value.

    The value is a tag ("en_us", "zh-Hans-CN") or an Accept-Language header. Of a header the first tag counts;
    the script is left out; what is not a tag is unknown.
    """
    tag = pl.col("lang").str.extract_groups(_TAG).struct
    region = ("-" + tag[1].str.to_uppercase()).fill_null("")
    language = (tag[0].str.to_lowercase() + region).fill_null(UNKNOWN)
    return distinct(lang, "lang").with_columns(language.alias("language"))

"""Recount's numbers in notebooks: the Stats API as pandas or Arrow.

    from recount.client import Client

    client = Client("http://127.0.0.1:8000", token="rcs_...")
    pages = client.query("demo", metrics=["visitors"], dimensions=["page"], date_range="7d")

Needs httpx, pyarrow and, for data frames, pandas: nothing of what the services need.
"""

from recount.client.api import Client
from recount.client.errors import (
    ApiError,
    Forbidden,
    InvalidQuery,
    NotFound,
    NotReachable,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from recount.client.live import Live

__all__ = [
    "ApiError",
    "Client",
    "Forbidden",
    "InvalidQuery",
    "Live",
    "NotFound",
    "NotReachable",
    "RateLimited",
    "Unauthorized",
    "Unavailable",
]

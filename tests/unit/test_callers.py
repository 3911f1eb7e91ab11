"""Whose address counts."""

from __future__ import annotations

import pytest

from recount.callers import Proxies, bearer_token, normalise
from recount.errors import SetupError


def address(proxies: str, peer: str, forwarded: str | None = None) -> str:
    environ = {"REMOTE_ADDR": peer} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    return Proxies(proxies).client_address(environ)


def test_nobody_is_believed_by_default() -> None:
    assert address("", "203.0.113.9", "192.0.2.1") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),  # what a client writes itself stands at the left
        ("192.0.2.1, 10.0.0.5", "192.0.2.1"),
        ("192.0.2.1,10.0.0.5 , 10.0.0.6", "192.0.2.1"),
        ("10.0.0.7", "10.0.0.7"),
        ("unknown, 10.0.0.5", "10.0.0.5"),
        ("", "10.0.0.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_a_trusted_proxy_is_believed_up_to_the_first_stranger(forwarded: str, expected: str) -> None:
    assert address("10.0.0.0/8", "10.0.0.1", forwarded) == expected


def test_a_stranger_is_not_believed() -> None:
    assert address("10.0.0.0/8", "203.0.113.9", "192.0.2.1") == "203.0.113.9"


def test_a_bad_setting_says_what_to_do() -> None:
    with pytest.raises(SetupError, match="TRUSTED_PROXIES"):
        Proxies("10.0.0.0/8, everyone")


def test_addresses_have_one_form() -> None:
    assert normalise(" 192.0.2.1 ") == "192.0.2.1"
    assert normalise("[2001:DB8::1]") == "2001:db8::1"
    assert normalise("fe80::1%eth0") == "fe80::1"
    assert normalise("1.2.3") is None
    assert normalise("1" * 5000) is None


def test_bearer_tokens() -> None:
    assert bearer_token("Bearer  abc ") == "abc"
    assert bearer_token("Basic abc") == ""
    assert bearer_token("") == ""

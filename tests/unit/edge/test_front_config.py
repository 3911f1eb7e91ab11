"""The configuration of HAProxy and Traefik: what the settings change, and that the real programs take it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboard_svc import operators, problem_types
from deploy.local.haproxy import find_haproxy
from edge import answers
from edge.front import refusals
from edge.front.render import (
    ADDRESS_MAX_BYTES,
    BUFFER_BYTES,
    HEADERS_MAX_BYTES,
    INTERNAL_PATHS,
    OPERATOR_HEADER,
    haproxy_config,
    hashed,
    traefik_config,
    traefik_routes,
)
from recount.errors import Refused, SetupError
from recount.reasons import Reason
from recount.settings import Settings

PASSWORD = "a password of an operator"
SETTINGS = Settings(trusted_proxies="127.0.0.0/8,10.1.0.0/16")


def routes(settings: Settings = SETTINGS) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(traefik_routes(settings, PASSWORD))["http"]
    return found


def rules_of(config: str, section: str) -> list[str]:
    """The lines of a section, without comments."""
    lines = re.split(r"^(?=\S)", config, flags=re.MULTILINE)
    found = next(part for part in lines if part.startswith(section + "\n"))
    return [line.strip() for line in found.splitlines()[1:] if line.strip() and "#" not in line]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rate_limit_per_s": 0},
        {"front_trusted_proxies": "10.0.0.0/8, 192.0.2.7"},
        {"host": "10.1.2.3", "front_port": 443},
    ],
)
def test_haproxy_takes_its_configuration(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(haproxy_config(replace(SETTINGS, **changes)))
    find_haproxy().check(config)


def test_what_haproxy_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(haproxy_config(replace(SETTINGS, front_certificate=str(tmp_path / "none.pem"))))
    with pytest.raises(SetupError, match=r"none\.pem"):
        find_haproxy().check(config)


def test_what_a_client_claims_of_itself_goes_before_the_truth_is_added() -> None:
    rules = rules_of(haproxy_config(SETTINGS), "frontend front")
    removed = rules.index("http-request del-header X-Forwarded-For")
    assert removed < rules.index("http-request set-header X-Forwarded-For %[src]")
    assert "option http-restrict-req-hdr-names delete" in rules
    assert not [rule for rule in rules if "set-src" in rule]


def test_only_a_balancer_of_ours_may_name_the_client() -> None:
    rules = rules_of(haproxy_config(replace(SETTINGS, front_trusted_proxies="10.0.0.0/8")), "frontend front")
    assert "acl from_balancer src 10.0.0.0/8" in rules
    (believed,) = [rule for rule in rules if "set-src" in rule]
    assert "if from_balancer" in believed
    assert rules.index(believed) < rules.index("http-request del-header X-Forwarded-For")


def test_a_limit_of_zero_is_none() -> None:
    assert "sc_http_req_rate(0) gt 2000 " in haproxy_config(replace(SETTINGS, rate_limit_per_s=200))
    assert "status 429" not in haproxy_config(replace(SETTINGS, rate_limit_per_s=0))


def test_what_the_front_refuses_reads_like_the_service_behind_it() -> None:
    for status, reason in ((413, Reason.TOO_LARGE), (429, Reason.RATE_LIMITED), (503, Reason.UNAVAILABLE)):
        collecting, api, page = refusals.rules(status, "why", "").split("\n")
        _, headers, body = answers.single_refusal(Refused(reason, "why"))
        assert f"application/json string '{body.decode()}' " in collecting
        added = {name for name, _ in headers} - {"Content-Type", "Retry-After"}
        assert all(f"hdr {name} " in collecting for name in added)
        problem = json.loads(api.split("'")[1])
        expected = problem_types.body(problem["type"].removeprefix(problem_types.PREFIX), "why")
        assert problem.keys() == expected.keys()
        assert problem | {"remedy": ""} == expected | {"remedy": ""}
        assert " text/plain string 'why' " in page
        is_waited_for = status != 413
        assert all(("hdr Retry-After" in rule) is is_waited_for for rule in (collecting, api, page))


def test_what_traefik_says_in_words_is_said_to_programs_in_their_form() -> None:
    rules = rules_of(haproxy_config(SETTINGS), "frontend front")
    for status in refusals.IN_WORDS:
        said = [rule for rule in rules if rule.startswith(f"http-response return status {status} ")]
        conditions = [rule.rpartition(" if ")[2] for rule in said]
        assert conditions == [f"{whom} is_in_words {{ status {status} }}" for whom in refusals.PROGRAMS]
        reason = Reason.TOO_LARGE if status == 413 else Reason.UNAVAILABLE
        assert f'hdr Recount-Drop "{reason}"' in said[0]


def test_what_haproxy_says_where_it_has_no_answer_is_a_line_of_text() -> None:
    rules = rules_of(haproxy_config(SETTINGS), "defaults")
    said = [rule.split()[2] for rule in rules if rule.startswith("http-error ")]
    assert said == ["400", "408", "502", "503", "504"]
    assert all(" content-type text/plain string " in r for r in rules if r.startswith("http-error "))


def test_what_the_catalogue_of_problems_has_not_is_blank() -> None:
    (api,) = refusals.rules(431, "why", "", (refusals.API,)).split("\n")
    assert json.loads(api.split("'")[1]) == {
        **{"type": "about:blank", "title": "Request Header Fields Too Large", "status": 431, "detail": "why"}
    }


def test_the_largest_headers_and_address_fit_the_buffer() -> None:
    assert ADDRESS_MAX_BYTES + HEADERS_MAX_BYTES < BUFFER_BYTES


def test_admin_surfaces_are_on_loopback_whatever_the_host() -> None:
    outside = replace(SETTINGS, host="10.1.2.3")
    binds = re.findall(r"^    bind (\S+)", haproxy_config(outside), re.MULTILINE)
    assert binds == ["10.1.2.3:8000", "127.0.0.1:8404"]
    points = yaml.safe_load(traefik_config(outside, Path("/routes.yaml")))["entryPoints"]
    assert points["web"]["address"] == "10.1.2.3:8090"
    assert points["admin"]["address"] == "127.0.0.1:8390"
    admin = [name for name, router in routes()["routers"].items() if "api@internal" in router["service"]]
    assert [routes()["routers"][name]["entryPoints"] for name in admin] == [["admin"]]


def test_traefik_believes_only_our_proxies_and_logs_nothing_personal() -> None:
    config = yaml.safe_load(traefik_config(SETTINGS, Path("/routes.yaml")))
    trusted = config["entryPoints"]["web"]["forwardedHeaders"]["trustedIPs"]
    assert trusted == ["127.0.0.0/8", "10.1.0.0/16"]
    fields = config["accessLog"]["fields"]
    assert fields["defaultMode"] == fields["headers"]["defaultMode"] == "drop"
    assert not {"ClientAddr", "ClientHost", "RequestPath", "RequestLine"} & set(fields["names"])
    catalog = config["providers"]["consulCatalog"]
    assert catalog["endpoint"] == {"address": "127.0.0.1:8500", "scheme": "http"}
    assert not catalog["exposedByDefault"]
    guarded = yaml.safe_load(traefik_config(replace(SETTINGS, consul_token="t"), Path("/routes.yaml")))
    assert guarded["providers"]["consulCatalog"]["endpoint"]["token"] == "t"


def test_routes_name_only_services_for_the_outside() -> None:
    made = routes()
    services = {router["service"] for router in made["routers"].values()}
    assert services == {
        *("ingest@consulcatalog", "dashboard@consulcatalog", "dagster", "away"),
        *("ping@internal", "api@internal"),
    }
    for name in ("dashboard", "away"):
        assert all(f"!Path(`{path}`)" in made["routers"][name]["rule"] for path in INTERNAL_PATHS)
    assert made["routers"]["dagster"]["middlewares"] == ["operators"]
    assert made["routers"]["operator"]["middlewares"] == ["operators", "again"]
    assert made["middlewares"]["operators"]["basicAuth"]["headerField"] == OPERATOR_HEADER
    assert f"http-request del-header {OPERATOR_HEADER}\n" in haproxy_config(SETTINGS)
    assert OPERATOR_HEADER == operators.OPERATOR_HEADER


def test_the_password_is_only_there_as_a_hash() -> None:
    text = traefik_routes(SETTINGS, PASSWORD)
    assert PASSWORD not in text
    assert f"operator:{hashed(PASSWORD)}" in text
    assert hashed("password") == "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="  # as htpasswd -s has it


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(SetupError, match="RECOUNT_TRUSTED_PROXIES"):
        traefik_config(replace(SETTINGS, trusted_proxies="10.0.0.0/8,anybody"), Path("/routes.yaml"))
    with pytest.raises(SetupError, match="RECOUNT_FRONT_TRUSTED_PROXIES"):
        haproxy_config(replace(SETTINGS, front_trusted_proxies="10.0.0.0/8,anybody"))

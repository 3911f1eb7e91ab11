"""What every command needs: the settings of this working copy's stack, and doors to its parts."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import click
import httpx

from deploy.local.front import collecting_url, dagster_url, reading_url
from deploy.local.layout import local_settings
from recount.discovery import open_directory
from recount.errors import SetupError
from recount.settings import Settings
from recount.store.catalog import Catalog, Site
from recount.store.tables import Tables, open_tables

TOKEN_WAIT_S: Final = 30.0


@dataclass
class CliContext:
    """Made at first use of a command; nothing is connected before it is needed."""

    @cached_property
    def settings(self) -> Settings:
        return local_settings()

    def tables(self) -> Tables:
        return open_tables(self.settings)

    def front_url(self) -> str:
        """Where visitors' browsers send events."""
        return collecting_url(self.settings)

    def dashboard_url(self) -> str:
        return reading_url(self.settings)

    def dagster_url(self) -> str:
        return dagster_url(self.settings)

    def live_url(self) -> str:
        """A live instance; raises SetupError where none runs."""
        found = open_directory(self.settings).instances("live")
        if not found:
            raise SetupError("live", "no live instance is running", "start the stack with `make up`")
        return found[0].url

    def site(self, site_id: str) -> Site:
        """Raises SetupError naming the known sites where there is none of that id."""
        catalog = Catalog(self.tables().catalog)
        site = catalog.get(site_id)
        if site is None:
            known = ", ".join(sorted(catalog.sites())) or "none yet"
            raise SetupError(
                "sites", f"there is no site {site_id!r} (known: {known})", "add it: recount sites add DOMAIN"
            )
        return site

    def site_token(self, site_id: str) -> str:
        """This working copy's token of a site: RECOUNT_TOKEN, else one kept in the state folder."""
        given = os.environ.get("RECOUNT_TOKEN")
        if given:
            return given
        catalog = Catalog(self.tables().catalog)
        if catalog.get(site_id) is None:
            known = ", ".join(sorted(catalog.sites())) or "none yet"
            raise SetupError(
                "sites", f"there is no site {site_id!r} (known: {known})", "add it: recount sites add DOMAIN"
            )
        path = self.settings.state / "tokens" / site_id
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f".{site_id}.{secrets.token_hex(4)}")
            fresh.touch(mode=0o600)
            fresh.write_text(Catalog(self.tables().catalog).new_token(site_id))
            fresh.replace(path)
        return path.read_text()

    @contextmanager
    def collector(self, site_id: str) -> Iterator[httpx.Client]:
        """A client of the ingest with the site's token, once the ingest knows it."""
        headers = {"Authorization": f"Bearer {self.site_token(site_id)}"}
        timeout = httpx.Timeout(60.0, connect=5.0)
        with httpx.Client(base_url=self.front_url(), headers=headers, timeout=timeout) as client:
            _wait_until_accepted(client, site_id)
            yield client


pass_context = click.make_pass_decorator(CliContext, ensure=True)


def _wait_until_accepted(client: httpx.Client, site_id: str) -> None:
    """The ingest reads the catalog every few seconds, so a new token takes a moment."""
    deadline = time.monotonic() + TOKEN_WAIT_S
    while True:
        try:
            answer = client.post("/v1/import", json={"import": "probe", "site": site_id, "events": []})
        except httpx.TransportError as error:
            raise SetupError(
                "ingest", f"does not answer at {client.base_url}: {error}", "start it: make up"
            ) from None
        if answer.is_success:
            return
        if time.monotonic() > deadline:
            raise SetupError(
                "ingest",
                f"refuses the site's token: {answer.text[:200]}",
                "check RECOUNT_TOKEN, or `recount status`",
            )
        time.sleep(0.5)

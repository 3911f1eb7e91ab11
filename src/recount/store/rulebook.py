"""Every version of the rules of every site and of those for all, the draft of the next one, and which is in
force when.

What is in force is what the site's own item says (`Site.rules_version`, `Site.timeline`), so a version comes
into force by one conditional write. The newest version that was never in force is the draft, if it is not
discarded.
"""

from __future__ import annotations

from dataclasses import replace
from shlex import quote
from typing import Final

from recount.errors import Conflict, InvalidInput
from recount.periods import hour_of, next_hour
from recount.rules import EVERY_SITE, Rules, whose
from recount.store.catalog import Catalog, Site, version_of
from recount.store.rule_versions import Version, Versions
from recount.store.table import Table
from recount.timeline import Spans, spliced, withdrawn

ATTEMPTS_MAX: Final = 20


class Rulebook:
    """Reads and writes of rules; each change is made by one writer or by none."""

    def __init__(self, table: Table) -> None:
        self._versions = Versions(table)
        self._catalog = Catalog(table)

    def site(self, site_id: str) -> Site:
        """Whose rules: a site, or EVERY_SITE. Raises InvalidInput where there is none of that id."""
        if site_id == EVERY_SITE:
            return self.common()
        site = self._catalog.get(site_id)
        if site is None:
            raise InvalidInput(f"there is no site {site_id!r}; see `recount sites list`", field="site")
        return site

    def common(self) -> Site:
        """The rules for all sites, as far as they go like those of one."""
        return self._catalog.common()

    def versions(self, site_id: str) -> list[Version]:
        """Every version, oldest first; one that was in force before any was kept is what the site says."""
        site = self.site(site_id)
        kept = {version.version: version for version in self._versions.all(site_id)}
        kept.setdefault(site.rules_version, version_of(site))
        return [kept[number] for number in sorted(kept)]

    def find(self, site_id: str, number: int) -> Version | None:
        """One version, if it is known."""
        kept = self._versions.find(site_id, number)
        if kept is not None:
            return kept
        site = self.common() if site_id == EVERY_SITE else self._catalog.get(site_id)
        return version_of(site) if site is not None and site.rules_version == number else None

    def version(self, site_id: str, number: int) -> Version:
        """Raises InvalidInput naming the versions there are."""
        found = self.find(site_id, number)
        if found is not None:
            return found
        known = ", ".join(str(v.version) for v in self.versions(site_id))
        raise InvalidInput(
            f"the rules {whose(site_id)} have no version {number} (known: {known})", field="rules"
        )

    def draft(self, site: Site) -> Version | None:
        """The version that is worked on, if there is one."""
        found = self._versions.newest(site.id)
        if found is None or found.discarded or found.version <= max(site.rules_version, site.newest_rules):
            return None
        return found

    def edit(self, site: Site, rules: Rules, *, by: str, why: str, now_ms: int) -> Version:
        """Make `rules` the draft. A draft that was previewed keeps its number to itself: a new one is made.

        Raises Conflict where another writer was faster, InvalidInput where nothing would change.
        """
        draft = self.draft(site)
        if rules == (site.rules if draft is None else draft.rules):
            raise InvalidInput("that changes nothing in the rules", field="rules")
        if draft is not None and not draft.previews:
            return self._versions.change(draft, rules=rules, made_ms=now_ms, by=by, why=why or draft.why)
        self._versions.keep(version_of(site))
        version = Version(
            site=site.id,
            version=self.versions(site.id)[-1].version + 1,
            rules=rules,
            made_ms=now_ms,
            by=by,
            why=why or ("" if draft is None else draft.why),
            made_from=site.rules_version,
        )
        self._versions.add(version)
        return version

    def previewed(self, version: Version, reprocessing: str) -> Version:
        """From now on the version says what it says."""
        return self._versions.change(version, previews=[*version.previews, reprocessing])

    def discard(self, version: Version) -> None:
        """Its number is not used again."""
        self._versions.change(version, discarded=True)

    def check(self, site_id: str, number: int) -> None:
        """Raises Conflict where a version can no longer come into force."""
        site = self.site(site_id)
        draft = self.draft(site)
        if site.rules_version == number or (draft is not None and draft.version == number):
            return
        now = f"{draft.version} is the draft" if draft else f"{site.rules_version} is in force"
        raise Conflict(
            f"rules {number} {whose(site_id)} are not the draft any more, {now}: "
            f"recount rules show {quote(site_id)}"
        )

    def bring_into_force(self, site_id: str, number: int, spans: Spans, *, how: str, now_ms: int) -> Site:
        """A draft for hours of the past, and from the running hour on. Doing it again finds it done.

        Raises Conflict as `check` does.
        """
        for _ in range(ATTEMPTS_MAX):
            self.check(site_id, number)
            site, version = self.site(site_id), self.version(site_id, number)
            if site.rules_version == number:
                return site
            self._versions.change(version, in_force_ms=now_ms, how=how, replaced=list(site.timeline))
            timeline = spliced(site.timeline, site.rules_version, {**spans, hour_of(now_ms): None}, number)
            ruled = replace(site.ruled(version.rules, number), newest_rules=number, timeline=timeline)
            if self._catalog.swap(site, ruled):
                return ruled
        raise Conflict(f"the rules {whose(site_id)} are changed by others all the time")

    def withdraw(self, site_id: str, number: int, now_ms: int) -> Site:
        """As if a version had not come into force, but for the hours that it counted while it was.

        Doing it again, or when another version is in force by now, changes no more than the past.
        """
        for _ in range(ATTEMPTS_MAX):
            site, version = self.site(site_id), self.version(site_id, number)
            if number not in {since.version for since in site.timeline}:
                return site
            kept = (hour_of(version.in_force_ms), hour_of(now_ms))
            before = tuple(version.replaced)
            timeline = withdrawn(site.timeline, number, before, version.made_from, kept)
            current = timeline[-1].version
            ruled = replace(site.ruled(self.version(site_id, current).rules, current), timeline=timeline)
            if ruled == site or self._catalog.swap(site, ruled):
                return ruled
        raise Conflict(f"the rules {whose(site_id)} are changed by others all the time")


def past_spans(spans: list[tuple[str, str]], *, until_now: bool) -> Spans:
    """Ranges of hours with both ends included as spans; `until_now`: the last has no end."""
    found: dict[str, str | None] = {first: next_hour(last) for first, last in spans}
    return {spans[0][0]: None} if until_now else found

"""Files and Consul as one directory: nothing depends on Consul being there, and what is there is used."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from recount.discovery.consul import ConsulDirectory
from recount.discovery.directory import Directory, Instance
from recount.discovery.files import FileDirectory
from recount.errors import Unavailable
from recount.settings import Settings

log = structlog.get_logger("directory")


def open_directory(settings: Settings) -> JoinedDirectory:
    """The directory of a deployment; nothing is connected before it is asked."""
    consul = ConsulDirectory(settings.consul, settings.consul_token)
    return JoinedDirectory(FileDirectory(settings.directory_root), consul, settings.host)


class JoinedDirectory:
    """Enters instances in files and in Consul, and reads Consul where it answers."""

    def __init__(self, files: Directory, consul: Directory, host: str) -> None:
        """`host`: the address under which the instances of this host, which the files name, are entered."""
        self._files = files
        self._consul = consul
        self._host = host
        self._last: dict[str, list[Instance]] = {}
        self._away = False

    def register(self, instance: Instance) -> None:
        """Always in the files; in Consul from the next beat on where it is away."""
        self._try(lambda: self._consul.register(instance))
        self._files.register(instance)

    def deregister(self, instance: Instance) -> None:
        self._files.deregister(instance)
        self._try(lambda: self._consul.deregister(instance))

    def instances(self, service: str) -> list[Instance]:
        """Consul's answer. Where it is away: the last one for other hosts, and the files for this host.

        Where Consul knows none, the files answer too: it has just come (back), and the next beats enter them.
        """
        try:
            found = self._consul.instances(service)
        except Unavailable as error:
            self._note(error)
            elsewhere = [i for i in self._last.get(service, []) if i.host != self._host]
            return sorted(elsewhere + self._files.instances(service), key=lambda i: i.id)
        self._last[service] = found
        return found or self._files.instances(service)

    def routes(self, instance: Instance) -> bool:
        return self._consul.routes(instance)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Unavailable as error:
            self._note(error)
        else:
            if self._away:
                log.info("consul is back")
            self._away = False

    def _note(self, error: Unavailable) -> None:
        if not self._away:
            log.warning("doing without consul until it answers", error=str(error))
        self._away = True

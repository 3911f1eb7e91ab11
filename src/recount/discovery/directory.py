"""What a directory of instances is: which services run where, and what each owns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

EXPIRES_S: Final = 8.0


@dataclass(frozen=True)
class Instance:
    """One running process of a service; `meta` says what it owns (`partitions`, `spool`, ...)."""

    service: str
    id: str
    host: str
    port: int
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class Directory(Protocol):
    """Behaviour that the contract suite checks on every implementation."""

    def register(self, instance: Instance) -> None:
        """Enter or refresh an instance, with its present metadata; it leaves by itself unless refreshed."""
        ...

    def deregister(self, instance: Instance) -> None:
        """Remove an instance; fine where it is not known."""
        ...

    def instances(self, service: str) -> list[Instance]:
        """The instances refreshed lately and not known to fail, by id."""
        ...

    def routes(self, instance: Instance) -> bool:
        """Whether a front or a peer may send requests to this instance for a moment after it has left."""
        ...

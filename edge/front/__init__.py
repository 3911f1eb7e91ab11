"""The front door's configuration: files to read, filled in with the settings by `render`."""

from typing import Final

LOOPBACK: Final = "127.0.0.1"  # where admin surfaces listen, whatever the host
OPERATOR: Final = "operator"  # the user whom Traefik lets through to Dagster and to /operator

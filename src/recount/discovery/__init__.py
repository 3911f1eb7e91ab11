"""The directory of instances: which services run where, and what each owns.

`open_directory(settings)` is the one that services use: files for the instances of a host, and Consul, which
knows those of every host and whether they are well.
"""

from recount.discovery.directory import EXPIRES_S, Directory, Instance
from recount.discovery.files import FileDirectory
from recount.discovery.joined import JoinedDirectory, open_directory
from recount.discovery.presence import Presence

__all__ = [
    "EXPIRES_S",
    "Directory",
    "FileDirectory",
    "Instance",
    "JoinedDirectory",
    "Presence",
    "open_directory",
]

"""The one-command stack: real parts from packages, under one supervisor, on one machine, without Docker."""

"""Entry point `python -m dax`."""

from dax.cli import main

main(prog_name="python -m dax")

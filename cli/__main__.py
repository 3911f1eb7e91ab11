"""`python -m cli`: the `recount` command."""

from cli.main import main

if __name__ == "__main__":
    main()

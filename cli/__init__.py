"""The command line: everything an operator or newcomer types."""

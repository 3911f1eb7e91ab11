"""Raw facts -> dimensions, always over distinct values.

Each module takes distinct raw values (a polars Series or DataFrame) and returns a DataFrame that starts
with the raw columns, one row per distinct input, for the fold to join back (`nulls_equal=True`: a fact
may be absent). Everything here is pure: same values in, same dimensions out, whatever the hour.
`docs/dimensions.md` says what each dimension means; changing what a function returns is a change of the
logic version.
"""

from recount.interpret.user_agents import Interpreter

__all__ = ["Interpreter"]

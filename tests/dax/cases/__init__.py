"""Cases of the contract: each runs the same operations on either side."""

from tests.dax.cases import (
    of_batches,
    of_reads,
    of_searches,
    of_tables,
    of_transactions,
    of_values,
    of_writes,
)
from tests.dax.cases.common import ALL

__all__ = [
    "ALL",
    "of_batches",
    "of_reads",
    "of_searches",
    "of_tables",
    "of_transactions",
    "of_values",
    "of_writes",
]

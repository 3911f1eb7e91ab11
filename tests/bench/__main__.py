"""`make bench`: every figure of docs/performance.md, measured in one run on this machine.

python -m tests.bench            all parts
python -m tests.bench ingest     one part (see --list)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.bench.rows import Row, save, show

PARTS: Final = {
    "tracker": "tests.bench.bench_tracker",
    "ingest": "tests.bench.bench_ingest",
    "fold": "tests.bench.bench_fold",
    "store_batches": "tests.bench.bench_store_batches",
    "live": "tests.bench.bench_live",
    "hour": "tests.bench.bench_hour",
    "backfill": "tests.bench.bench_backfill",
    "pages": "tests.bench.bench_pages",
    "scan": "tests.bench.bench_scan",
    "replay": "tests.bench.bench_replay",
    "edge": "tests.bench.bench_edge",
    "failover": "tests.bench.bench_failover",
    "latency": "tests.bench.bench_latency",
    "meanwhile": "tests.bench.bench_meanwhile",
    "dax": "tests.bench.bench_dax",
    "cost": "tests.bench.bench_cost",
}
RESULT: Final = Path("build/bench.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="which parts; all unless given")
    parser.add_argument("--list", action="store_true", help="print the names of the parts")
    parser.add_argument("--large", action="store_true", help="also the hour of 41.7 million events")
    options = parser.parse_args()
    if options.list:
        print("\n".join(PARTS))
        return
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))} (known: {', '.join(PARTS)})")
    rows: list[Row] = []
    for name in options.parts or PARTS:
        print(f"measuring {name} ...", flush=True)
        measure: Callable[..., list[Row]] = import_module(PARTS[name]).measure
        rows += measure(large=options.large)
        save(rows, RESULT)  # what was measured stays, should a later part fail
    show(rows)
    print(f"\nwritten to {RESULT}")


if __name__ == "__main__":
    main()

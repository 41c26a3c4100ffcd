"""How long cas takes to start: `cas --help`, and `cas ls` on a store of 1,000 versions.

The versions are made through the Python API, spread over ten artifacts, so this script needs a
Python that imports `cas`. `cas log` of one artifact is timed too. Python's own start is shown,
since no command can be faster.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from measure import (
    Command,
    arguments,
    cas_environ,
    median_cost,
    print_table,
    run,
    save_results,
    verdict,
)

import cas

# seconds, by what is run; what is not named has no target.
LIMITS = {"cas --help": 0.150, "cas ls": 0.400}


def make_store(store: Path, source: Path, versions: int, artifacts: int) -> None:
    """Make a store with `versions` versions, in turns of `artifacts` artifacts."""
    with cas.Store.create(str(store)) as opened:
        for number in range(versions):
            source.write_text(f"version {number}\n")
            opened.put(source, artifact_name(number % artifacts))


def artifact_name(number: int) -> str:
    """Return the name of an artifact of this benchmark."""
    return f"artifact-{number:03}"


def report(options: argparse.Namespace, store: Path, home: Path) -> None:
    """Time each command, print the table and save it."""
    to_store = [*options.cas, "--store", str(store)]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "cas --help": [*options.cas, "--help"],
        "cas ls": [*to_store, "ls"],
        "cas log": [*to_store, "log", artifact_name(0)],
    }
    environ = cas_environ(home)
    rows, results = [], {}
    for name, argv in commands.items():
        run(Command(argv), environ)  # the first start compiles and fills the page cache
        cost = median_cost([run(Command(argv), environ) for _ in range(options.rounds)])
        limit = LIMITS.get(name)
        target = "" if limit is None else f"<= {limit * 1000:.0f} ms"
        outcome = "" if limit is None else verdict(cost.wall_seconds, limit)
        rows.append((name, f"{cost.wall_seconds * 1000:.0f} ms", target, outcome))
        results[name] = asdict(cost)
    print_table(("command", "median", "target", ""), rows)
    results["store"] = {"versions": options.versions, "artifacts": options.artifacts}
    save_results(options.results, "startup", results)


def main() -> None:
    """Make the store, measure, remove everything."""
    parser = arguments(__doc__)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--artifacts", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    work = options.work.resolve() / "startup"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    make_store(work / "store", work / "source.txt", options.versions, options.artifacts)
    report(options, work / "store", work / "home")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

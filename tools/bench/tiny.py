"""Put, put again and get a million empty or tiny files; peak memory must stay under 700 MiB.

Every other file is empty, the rest hold their number. A million of them need 2.5 million inodes
and 5 GB of disk, mostly blocks that the tiny files leave unused.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from measure import (
    MIB,
    Command,
    Cost,
    allocated_bytes,
    arguments,
    cas_environ,
    print_table,
    run,
    save_results,
    verdict,
)

FILES_PER_FOLDER = 1000
PEAK_LIMIT_MIB = 700


def file_path(folder: Path, number: int) -> Path:
    """Return where file `number` of a tree lies."""
    return folder / f"d{number // FILES_PER_FOLDER:05}" / f"f{number:08}.txt"


def make_tree(folder: Path, count: int) -> None:
    """Make a tree of `count` files: those with an even number are empty, others hold it."""
    for number in range(count):
        path = file_path(folder, number)
        if number % FILES_PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        content = b"%d\n" % number if number % 2 else b""
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(target, content)
        os.close(target)


def iter_files(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the path below `folder` and the size of every file, in order."""
    for home in sorted(folder.iterdir()):
        for path in sorted(home.iterdir()):
            yield f"{home.name}/{path.name}", path.stat().st_size


def measure_steps(source: Path, work: Path, cas: list[str]) -> dict[str, Cost]:
    """Return the cost of each step; afterwards `work` holds the store and the copy."""
    environ = cas_environ(work / "home")
    to_store = [*cas, "--store", str(work / "store")]
    run(Command([*cas, "init", work / "store"]), environ)
    put = Command([*to_store, "put", source, "dataset"])
    return {
        "put": run(put, environ),
        "put again": run(put, environ),
        "get": run(Command([*to_store, "get", "dataset", work / "copy"]), environ),
    }


def report(options: argparse.Namespace, source: Path, work: Path) -> None:
    """Run the steps, check the copy, print the table and save it."""
    costs = measure_steps(source, work, options.cas)
    for wanted, found in zip(iter_files(source), iter_files(work / "copy"), strict=True):
        if wanted != found:
            raise SystemExit(f"put {wanted}, got {found}")
    rows = [
        (
            step,
            f"{cost.wall_seconds:.2f} s",
            f"{cost.cpu_seconds:.2f} s",
            f"{options.count / cost.wall_seconds:,.0f}",
            f"{cost.peak_mib:.0f} MiB",
            verdict(cost.peak_mib, PEAK_LIMIT_MIB),
        )
        for step, cost in costs.items()
    ]
    print_table(("step", "wall", "CPU", "files/s", "peak", f"<= {PEAK_LIMIT_MIB} MiB"), rows)
    stored = allocated_bytes(work / "store")
    print(f"{options.count:,} files, store {stored / MIB:.1f} MiB")
    results = {step: asdict(cost) for step, cost in costs.items()}
    save_results(
        options.results, "tiny", {"files": options.count, "stored": stored, "steps": results}
    )


def main() -> None:
    """Make the tree, measure, remove everything."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="files")
    options = parser.parse_args()
    work = options.work.resolve() / "tiny"
    shutil.rmtree(work, ignore_errors=True)
    make_tree(work / "source", options.count)
    report(options, work / "source", work)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

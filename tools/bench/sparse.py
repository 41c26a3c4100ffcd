"""Put and get five sparse files of 2 GiB: holes must cost nothing, in time, store and copy.

The files are all hole, as a loader or a simulator makes them in advance, `data_part_0.bin` to
`data_part_4.bin`. Prints seconds, peak memory, the store's size, and the disk blocks of the copy,
which are more than the source's where holes were filled.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path

from measure import (
    Command,
    Cost,
    allocated_bytes,
    apparent_bytes,
    arguments,
    cas_environ,
    median_cost,
    print_table,
    run,
    save_results,
    verdict,
)

GIB = 1 << 30
SECONDS_LIMIT = 2.0
STORE_LIMIT_KIB = 64


def make_sparse_files(folder: Path, count: int, size: int) -> None:
    """Make `count` files of `size` bytes that take no block of the disk."""
    folder.mkdir(parents=True)
    for number in range(count):
        with (folder / f"data_part_{number}.bin").open("wb") as file:
            file.truncate(size)


def blocks(folder: Path) -> int:
    """Return the blocks of 512 bytes that the files of a folder take, the folder left out."""
    return sum(path.stat().st_blocks for path in folder.iterdir())


def try_once(source: Path, work: Path, cas: list[str]) -> tuple[Cost, Cost, dict[str, int]]:
    """Put and get once; return both costs and what store and copy take."""
    store, copy = work / "store", work / "copy"
    environ = cas_environ(work / "home")
    run(Command([*cas, "init", store]), environ)
    put = run(Command([*cas, "--store", store, "put", source, "dataset"]), environ)
    get = run(Command([*cas, "--store", store, "get", "dataset", copy]), environ)
    expected = {path.name: path.stat().st_size for path in source.iterdir()}
    if {path.name: path.stat().st_size for path in copy.iterdir()} != expected:
        raise SystemExit(f"{copy} has other files or sizes than {source}")
    sizes = {
        "objects": apparent_bytes(store),
        "allocated": allocated_bytes(store),
        "copy_blocks": blocks(copy),
    }
    for used in (store, copy, work / "home"):
        shutil.rmtree(used, ignore_errors=True)
    return put, get, sizes


def report(options: argparse.Namespace, source: Path, work: Path) -> None:
    """Run the rounds, print the table and save it."""
    trials = [try_once(source, work, options.cas) for _ in range(options.rounds)]
    put = median_cost([trial[0] for trial in trials])
    get = median_cost([trial[1] for trial in trials])
    sizes = trials[-1][2]
    objects = sizes["objects"] / 1024
    block_limit = blocks(source)
    rows = [
        _line("put seconds", put.wall_seconds, SECONDS_LIMIT),
        _line("get seconds", get.wall_seconds, SECONDS_LIMIT),
        _line("store KiB", objects, STORE_LIMIT_KIB),
        _line("blocks of the copy", sizes["copy_blocks"], block_limit),
    ]
    print_table(("what", "cas", "target", ""), rows)
    print(f"peak: put {put.peak_mib:.0f} MiB, get {get.peak_mib:.0f} MiB")
    print(f"on disk, folders and partly used blocks included: {sizes['allocated'] / 1024:.0f} KiB")
    results = {"put": asdict(put), "get": asdict(get), **sizes, "source_blocks": block_limit}
    save_results(options.results, "sparse", results)


def _line(what: str, value: float, limit: float) -> tuple[str, str, str, str]:
    return what, f"{value:.2f}", f"<= {limit:g}", verdict(value, limit)


def main() -> None:
    """Make the files, measure, remove everything."""
    parser = arguments(__doc__)
    parser.add_argument("--files", type=int, default=5)
    parser.add_argument("--size", type=int, default=2 * GIB, help="bytes of each file")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    work = options.work.resolve() / "sparse"
    shutil.rmtree(work, ignore_errors=True)
    make_sparse_files(work / "source", options.files, options.size)
    report(options, work / "source", work)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

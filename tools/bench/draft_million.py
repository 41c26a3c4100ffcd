"""Edit a version of a million files by a draft: what is read and written for three edits.

The version is put by the `cas` command. Then it is edited here twice, through the Python API: with the
journal of the put, as on the machine that put it, and without any, as on another. This script watches
which objects of the store are opened. No data may be read, and no more pages than the edits touch.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from diff_million import MetaReads
from measure import Command, arguments, cas_environ, print_table, run, save_results, verdict
from tiny import file_path, make_tree

import cas

EDITS = 3
# Each path may lie on a page of its own; a move touches two, and what is beside a path is looked at.
PAGE_LIMIT = 2 * (EDITS + 1)
ROOTS = 1


@dataclass(frozen=True)
class EditCost:
    """What a draft of a few edits took."""

    pages: int
    requests: int
    received_bytes: int
    sent_bytes: int
    seconds: float


def edit(store: Path, cache: Path, count: int) -> EditCost:
    """Make three edits, far apart, and commit them."""
    reads = MetaReads(store)
    inner = [
        file_path(Path(), count * place // 10 | 1).as_posix().removeprefix("./")
        for place in (2, 5, 8)
    ]
    start = time.perf_counter()
    with cas.Store.open(store, options=cas.StoreOptions(cache_dir=str(cache))) as opened:
        with opened.draft("dataset", base="dataset:v0") as draft:
            draft.pipe(inner[0], b"edited\n")
            draft.rm(inner[1])
            draft.mv(inner[2], f"{inner[2]}.moved")
        seconds = time.perf_counter() - start
        requests = opened.requests
        if draft.version.totals.files != count - 1:
            raise SystemExit("the edits are not what they should be")
    pages = max(0, reads.total - ROOTS)
    return EditCost(pages, requests.requests, requests.received_bytes, requests.sent_bytes, seconds)


def report(options: argparse.Namespace, costs: dict[str, EditCost], pages: int) -> None:
    """Print the table and save it."""
    rows = [
        ("pages of the version", *(str(pages) for _ in costs), "", ""),
        ("pages read", *(f"{one.pages}" for one in costs.values()), f"<= {PAGE_LIMIT}", ""),
        ("requests", *(f"{one.requests}" for one in costs.values()), "", ""),
        ("KiB received", *(f"{one.received_bytes / 1024:,.0f}" for one in costs.values()), "", ""),
        ("KiB sent", *(f"{one.sent_bytes / 1024:,.0f}" for one in costs.values()), "", ""),
        ("seconds", *(f"{one.seconds:.2f}" for one in costs.values()), "", ""),
    ]
    heads = (f"{EDITS} edits of {options.count:,} files", *costs, "target", "")
    print_table(heads, rows)
    for one in costs.values():
        print(verdict(one.pages, PAGE_LIMIT))
    results = {name: one.__dict__ for name, one in costs.items()}
    save_results(options.results, "draft_million", {"files": options.count, **results})


def main() -> None:
    """Make the version, edit it twice, remove everything."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="files")
    options = parser.parse_args()
    work = options.work.resolve() / "draft"
    shutil.rmtree(work, ignore_errors=True)
    make_tree(work / "source", options.count)
    environ = cas_environ(work / "home")
    run(Command([*options.cas, "init", work / "store"]), environ)
    run(
        Command([*options.cas, "--store", work / "store", "put", work / "source", "dataset"]),
        environ,
    )
    with cas.Store.open(work / "store") as opened:
        pages = len(opened.version("dataset:v0")._pages)  # noqa: SLF001 - no one else asks
    caches = {"here": work / "home" / "cache", "elsewhere": work / "other"}
    costs = {name: edit(work / "store", cache, options.count) for name, cache in caches.items()}
    report(options, costs, pages)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

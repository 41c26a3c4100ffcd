"""Diff two versions of a million files with ten changes: only pages that differ may be read.

Both versions are put by the `cas` command; the diff runs here, through the Python API on a store
opened anew, while this script watches which meta blobs are opened. Equal pages are known by their
ids from the two roots, so the diff of a million files should read about two pages a change.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from measure import (
    Command,
    Cost,
    apparent_bytes,
    arguments,
    cas_environ,
    print_table,
    run,
    save_results,
    verdict,
)
from tiny import file_path, make_tree

import cas

# A rename touches two paths, every other change one.
CHANGES = {"modified": 4, "added": 2, "removed": 2, "renamed": 1, "mode_changed": 1}
ROOTS = 2
# Each changed path may lie on a page of its own, on both sides.
PAGE_LIMIT = 2 * (sum(CHANGES.values()) + CHANGES["renamed"])


def change_tree(folder: Path, count: int) -> None:
    """Make the ten changes, far apart."""
    # Odd numbers: those files hold their number, so a rename can be told from a new file.
    places = [file_path(folder, count * place // 10 | 1) for place in range(9)]
    for path in places[:4]:
        path.write_text("edited\n")
    for path in places[4:6]:
        path.unlink()
    places[6].rename(places[6].with_suffix(".renamed"))
    places[7].chmod(0o755)
    for name in ("new-a.txt", "new-b.txt"):
        (places[8].parent / name).write_text(f"{name}\n")


class MetaReads:
    """Counts how often files below a store's `meta` folder are opened by this process."""

    def __init__(self, store: Path) -> None:
        self.opened: Counter[str] = Counter()
        self._prefix = str(store / "meta")
        sys.addaudithook(self._note)

    def _note(self, event: str, details: tuple[object, ...]) -> None:
        if event == "open" and str(details[0]).startswith(self._prefix):
            self.opened[str(details[0])] += 1

    @property
    def total(self) -> int:
        """How many opens there were; each reads one page or root."""
        return self.opened.total()


def put_versions(source: Path, work: Path, options: argparse.Namespace) -> list[Cost]:
    """Put the tree, change it, put it again."""
    environ = cas_environ(work / "home")
    run(Command([*options.cas, "init", work / "store"]), environ)
    put = Command([*options.cas, "--store", work / "store", "put", source, "dataset"])
    first = run(put, environ)
    change_tree(source, options.count)
    return [first, run(put, environ)]


def report(options: argparse.Namespace, puts: list[Cost], store: Path) -> None:
    """Diff, check what is found, print the table and save it."""
    reads = MetaReads(store)
    with cas.Store.open(str(store)) as opened:
        new, old = (version.number for version in opened.versions("dataset"))
        start = time.perf_counter()
        diff = opened.diff(f"dataset:v{old}", f"dataset:v{new}")
        seconds = time.perf_counter() - start
        requests = opened.requests
    found = {kind: len(getattr(diff, kind)) for kind in CHANGES}
    if found != CHANGES:
        raise SystemExit(f"changes made: {CHANGES}, found: {found}")
    pages = max(0, reads.total - ROOTS)
    meta = apparent_bytes(store / "meta")
    rows = [
        ("pages read", f"{pages}", f"<= {PAGE_LIMIT}", verdict(pages, PAGE_LIMIT)),
        ("GET requests", f"{requests.get}", "", ""),
        ("KiB received", f"{requests.received_bytes / 1024:,.0f}", "", ""),
        ("KiB of manifests in the store", f"{meta / 1024:,.0f}", "", ""),
        ("seconds", f"{seconds:.3f}", "", ""),
        ("seconds of first put", f"{puts[0].wall_seconds:.2f}", "", ""),
        ("seconds of second put", f"{puts[1].wall_seconds:.2f}", "", ""),
    ]
    print_table(("diff", f"{options.count:,} files", "target", ""), rows)
    results = {
        "files": options.count,
        "pages_read": pages,
        "requests": requests.get,
        "received_bytes": requests.received_bytes,
        "meta_bytes": meta,
        "seconds": seconds,
        "puts": [asdict(cost) for cost in puts],
    }
    save_results(options.results, "diff_million", results)


def main() -> None:
    """Make the versions, diff them, remove everything."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="files")
    options = parser.parse_args()
    work = options.work.resolve() / "diff"
    shutil.rmtree(work, ignore_errors=True)
    make_tree(work / "source", options.count)
    puts = put_versions(work / "source", work, options)
    report(options, puts, work / "store")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()

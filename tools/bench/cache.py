"""What a warm cache gives: random 4 KiB reads of a stored file, beside a local file and fsspec's.

One file, half text, half random bytes, in a store on an S3 server. Each way of reading it is warmed
by one pass over all positions, opened anew, and read again in another order: cas's own cache through
`Version.open`, `cas://` files and `cat_file`; fsspec's `filecache` over the same `cas://` file, and its
`blockcache` over a plain object of the same bytes; and plain `pread` of a local copy. `none` is cas
without any, which asks the server. Ways take turns; medians over rounds. The target: p50 under 200 microseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measure import MIB, arguments, print_table, save_results, verdict
from s3_server import BUCKET, DEFAULT_SERVER, network_of, s3_server

WAYS = ("pread", "version", "cas://", "cat_file", "filecache", "blockcache", "none")
TARGET_MICROSECONDS = 200.0
SMALL_BYTES = 4096
STORE = f"s3://{BUCKET}/store"
PLAIN = f"s3://{BUCKET}/plain/file"
Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class ReadCost:
    """Microseconds of a read, requests for data while they were measured, and bytes on disk."""

    p50: float
    p99: float
    requests: int | None = None
    disk_bytes: int | None = None


def content_of(size: int) -> bytes:
    """Return the bytes of the file, always the same."""
    chosen = random.Random(1)  # noqa: S311
    words = [chosen.randbytes(chosen.randint(2, 6)).hex().encode() for _ in range(5000)]
    text = b" ".join(chosen.choices(words, k=size // 14))[: size // 2]
    return text + chosen.randbytes(size - len(text))


def open_way(way: str, work: Path, stack: ExitStack) -> tuple[Read, Any]:
    """Open the file; return what reads at a position, and the store if that counts requests."""
    # Not at the top: the harness's own process needs none of it.
    import fsspec

    import cas

    if way == "pread":
        descriptor = os.open(work / "source" / "file", os.O_RDONLY)
        stack.callback(os.close, descriptor)
        return lambda at: os.pread(descriptor, SMALL_BYTES, at), None
    if way in ("filecache", "blockcache"):
        options = {way: {"cache_storage": str(work / way)}}
        options |= {"cas": {"store": STORE}} if way == "filecache" else {}
        # Blocks are fetched by a method that only files of fsspec's own kind have.
        url = "cas://data@v0/file" if way == "filecache" else PLAIN
        file = stack.enter_context(fsspec.open(f"{way}::{url}", **options))
        return reader_of(file), None
    limit = 0 if way == "none" else "1GB"
    options = cas.StoreOptions(cache_dir=str(work / "cache"), cache_size=limit)
    store = stack.enter_context(cas.Store.open(STORE, options=options))
    if way in ("version", "none"):
        return reader_of(stack.enter_context(store.version("data").open("file"))), store
    fs = cas.CasFileSystem.on(store)
    if way == "cas://":
        return reader_of(stack.enter_context(fs.open("data@v0/file"))), store
    return lambda at: fs.cat_file("data@v0/file", at, at + SMALL_BYTES), store


def reader_of(file: Any) -> Read:
    """Return what reads an open file at a position."""

    def read(at: int) -> bytes:
        file.seek(at)
        content: bytes = file.read(SMALL_BYTES)
        return content

    return read


def measure_way(way: str, work: Path, reads: int) -> ReadCost:
    """Warm one way of reading, open it anew, and measure it."""
    import fsspec

    import cas

    # However cas was installed.
    fsspec.register_implementation("cas", cas.CasFileSystem, clobber=True)
    chosen = random.Random(2)  # noqa: S311
    content = (work / "source" / "file").read_bytes()
    places = [chosen.randrange(len(content) - SMALL_BYTES) for _ in range(reads)]
    with ExitStack() as stack:
        read, _ = open_way(way, work, stack)
        if way != "none":
            for at in places:
                assert read(at) == content[at : at + SMALL_BYTES]
    cas.CasFileSystem.clear_instance_cache()
    chosen.shuffle(places)
    with ExitStack() as stack:
        read, store = open_way(way, work, stack)
        read(places[0])
        before = store.requests.requests if store else 0
        seconds = list(timed(read, places))
        asked = store.requests.requests - before if store else None
    cuts = statistics.quantiles(seconds, n=100)
    return ReadCost(cuts[49] * 1e6, cuts[98] * 1e6, asked, disk_bytes_of(way, work))


def disk_bytes_of(way: str, work: Path) -> int | None:
    """Return what the cache of a way takes."""
    if way in ("pread", "none"):
        return None
    folder = work / (way if way in ("filecache", "blockcache") else "cache/data-1")
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def timed(read: Read, places: list[int]) -> Iterator[float]:
    """Yield how long each read takes."""
    for at in places:
        begun = time.perf_counter()
        read(at)
        yield time.perf_counter() - begun


def put_file(work: Path, size: int) -> None:
    """Make the file, and a store that has it."""
    import cas

    (work / "source").mkdir()
    (work / "source" / "file").write_bytes(content_of(size))
    with cas.Store.create(STORE) as store:
        store.put(work / "source", "data", cas.PutOptions(provenance=False))
        store.get("data", PLAIN.removesuffix("/file"))


def run_here(way: str, options: argparse.Namespace, environ: dict[str, str]) -> bytes:
    """Run one step in a process of its own, which never meets what another one left in memory."""
    words = [sys.executable, __file__, str(options.work), "--step", way]
    sizes = ["--mib", str(options.mib), "--reads", str(options.reads)]
    return subprocess.run([*words, *sizes], env=environ, stdout=subprocess.PIPE, check=True).stdout


def print_costs(costs: dict[str, list[ReadCost]]) -> dict[str, ReadCost]:
    """Print the table; return the medians."""
    medians = {
        way: ReadCost(
            statistics.median(one.p50 for one in every),
            statistics.median(one.p99 for one in every),
            every[0].requests,
            every[0].disk_bytes,
        )
        for way, every in costs.items()
    }
    plain = medians["pread"].p50 if "pread" in medians else None
    rows = []
    for way, cost in medians.items():
        ratio = "-" if plain is None else f"{cost.p50 / plain:.0f}"
        asked = "-" if cost.requests is None else str(cost.requests)
        disk = "-" if cost.disk_bytes is None else f"{cost.disk_bytes / MIB:.0f}"
        is_ours = way in ("version", "cas://", "cat_file")
        told = verdict(cost.p50, TARGET_MICROSECONDS) if is_ours else ""
        rows.append([way, f"{cost.p50:.1f}", f"{cost.p99:.1f}", ratio, asked, disk, told])
    header = ("way", "p50 us", "p99 us", "of pread", "requests", "MiB on disk", "under 200 us")
    print_table(header, rows)
    return medians


def main() -> None:
    """Measure every way, print the table, save every figure."""
    parser = arguments(__doc__)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--mib", type=int, default=128, help="size of the file")
    parser.add_argument("--reads", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", default=DEFAULT_SERVER, help="with {port}; on 127.0.0.1")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "put":
        put_file(options.work, options.mib * MIB)
        return
    if options.step:
        reads = options.reads if options.step != "none" else min(options.reads, 300)
        print(json.dumps(asdict(measure_way(options.step, options.work, reads))))
        return
    options.work = options.work.resolve() / "cache"
    shutil.rmtree(options.work, ignore_errors=True)
    (options.work / "home").mkdir(parents=True)
    costs: dict[str, list[ReadCost]] = {way: [] for way in options.ways}
    network = network_of("none", {})
    with s3_server(options.server, network, options.work / "log", counted=False) as server:
        environ = dict(server.environ(options.work / "home"))
        run_here("put", options, environ)
        for turn in range(options.rounds):
            first = turn % len(options.ways)
            for way in [*options.ways[first:], *options.ways[:first]]:
                costs[way].append(ReadCost(**json.loads(run_here(way, options, environ))))
    print_costs(costs)
    saved = {way: [asdict(cost) for cost in every] for way, every in costs.items()}
    results = {"mib": options.mib, "reads": options.reads, "ways": saved}
    print(f"\nevery figure: {save_results(options.results, 'cache', results).name}")
    shutil.rmtree(options.work)


if __name__ == "__main__":
    main()

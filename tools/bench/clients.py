"""What obstore saves: s3fs, obstore and s5cmd on one server, over loopback.

Objects of 64 MiB are put and got by ranges of 8 MiB with 16 requests in flight; then 4 KiB ranges
are read, one at a time. s3fs and obstore run below cas's backends, as cas uses them; s5cmd copies
files, so its gets write to disk what the others drop. Clients take turns; medians over rounds.
Needs a Python that imports cas with s3fs and obstore.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from measure import MIB, Command, arguments, print_table, read_all, run, save_results
from s3_server import BUCKET, DEFAULT_SERVER, S3Server, network_of, s3_server

CLIENTS = ("s3fs", "obstore", "s5cmd")
OBJECT_BYTES = 64 * MIB
RANGE_BYTES = 8 * MIB
SMALL_BYTES = 4096
IN_FLIGHT = 16
READS = 300
# A server that shares the CPUs may take no connection for seconds while it takes in objects.
PATIENT = {"config_kwargs": {"connect_timeout": 60, "read_timeout": 300}}

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class ClientCost:
    """What a client reached: MiB/s, CPU seconds per GiB, and milliseconds of a small read."""

    put_rate: float
    put_cpu: float
    get_rate: float
    get_cpu: float
    p50: float | None = None
    p99: float | None = None


def measure_backend(client: str, objects: int) -> ClientCost:
    """Measure one of cas's backends in this process."""
    # Not at the top: the clients under test must not be in the harness's own process.
    from cas.backend.base import Backend
    from cas.backend.fsspec_backend import open_fsspec_backend
    from cas.backend.open import open_backend

    url = f"s3://{BUCKET}/{client}"
    backend: Backend
    if client == "s3fs":
        backend = open_fsspec_backend(url, PATIENT, shown_url=url)
    else:
        backend = open_backend(url, PATIENT)
        if type(backend).__name__ != "ObstoreBackend":
            raise SystemExit("obstore is not installed: pip install 'cas-store[fast]'")
    content = os.urandom(OBJECT_BYTES)
    keys = [f"objects/{number:04}" for number in range(objects)]
    ranges = [(key, start) for key in keys for start in range(0, OBJECT_BYTES, RANGE_BYTES)]
    backend.put("warm", [b"connected"])

    def get(place: tuple[str, int]) -> None:
        key, start = place
        assert len(backend.get(key, start, start + RANGE_BYTES)) == RANGE_BYTES

    put_rate, put_cpu = timed(objects, lambda: each(lambda key: backend.put(key, [content]), keys))
    get_rate, get_cpu = timed(objects, lambda: each(get, ranges))
    seconds = []
    for number in range(READS):
        start = number * SMALL_BYTES % OBJECT_BYTES
        begun = time.perf_counter()
        backend.get(keys[0], start, start + SMALL_BYTES)
        seconds.append(time.perf_counter() - begun)
    cuts = statistics.quantiles(seconds, n=100)
    backend.close()
    return ClientCost(put_rate, put_cpu, get_rate, get_cpu, cuts[49] * 1000, cuts[98] * 1000)


def each(act: Callable[[_Item], None], items: Iterable[_Item]) -> None:
    """Call `act` on every item, many at a time."""
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(act, items))


def timed(objects: int, act: Callable[[], None]) -> tuple[float, float]:
    """Return the MiB a second, and the CPU seconds of this process per GiB."""
    start, cpu = time.perf_counter(), own_cpu_seconds()
    act()
    size = objects * OBJECT_BYTES
    wall, used = time.perf_counter() - start, own_cpu_seconds() - cpu
    return size / MIB / wall, used * 1024 * MIB / size


def own_cpu_seconds() -> float:
    """Return the CPU seconds of this process until now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure_s5cmd(server: S3Server, work: Path, objects: int) -> ClientCost:
    """Measure s5cmd: each object in one request up, and in ranges down."""
    source, target = work / "source", work / "target"
    source.mkdir()
    target.mkdir()
    for number in range(objects):
        (source / f"{number:04}").write_bytes(os.urandom(OBJECT_BYTES))
    read_all(source)
    environ = server.environ(work / "home")
    s5cmd = ["s5cmd", "--log", "error", "--endpoint-url", server.url, "--numworkers", "16", "cp"]
    remote = f"s3://{BUCKET}/s5cmd/"
    put = run(
        Command([*s5cmd, "-c", "1", "-p", str(OBJECT_BYTES // MIB), f"{source}/", remote]), environ
    )
    get = run(
        Command([*s5cmd, "-c", "1", "-p", str(RANGE_BYTES // MIB), f"{remote}*", f"{target}/"]),
        environ,
    )
    size = objects * OBJECT_BYTES
    return ClientCost(
        size / MIB / put.wall_seconds,
        put.cpu_seconds * 1024 * MIB / size,
        size / MIB / get.wall_seconds,
        get.cpu_seconds * 1024 * MIB / size,
    )


def measure_client(client: str, options: argparse.Namespace) -> ClientCost:
    """Measure one client on a server of its own."""
    work = options.work.resolve() / client
    shutil.rmtree(work, ignore_errors=True)
    (work / "home").mkdir(parents=True)
    with s3_server(
        options.server, network_of("none", {}), work / "server.log", counted=False
    ) as server:
        if client == "s5cmd":
            cost = measure_s5cmd(server, work, options.objects)
        else:
            words = [sys.executable, __file__, str(work), "--objects", str(options.objects)]
            answer = subprocess.run(
                [*words, "--measure-here", client],
                env=server.environ(work / "home"),
                stdout=subprocess.PIPE,
                check=True,
            )
            cost = ClientCost(**json.loads(answer.stdout))
    shutil.rmtree(work)
    return cost


def median_client(costs: list[ClientCost]) -> ClientCost:
    """Return the median of each figure."""
    figures = [asdict(cost) for cost in costs]
    medians: dict[str, Any] = {
        name: None if figures[0][name] is None else statistics.median(one[name] for one in figures)
        for name in figures[0]
    }
    return ClientCost(**medians)


def print_clients(costs: dict[str, ClientCost]) -> None:
    """Print the table."""
    lines = []
    for client, cost in costs.items():
        rates = [cost.put_rate, cost.put_cpu, cost.get_rate, cost.get_cpu, cost.p50, cost.p99]
        lines.append([client, *("-" if rate is None else f"{rate:.1f}" for rate in rates)])
    header = ("put MiB/s", "put CPU s/GiB", "get MiB/s", "get CPU s/GiB", "p50 ms", "p99 ms")
    print_table(("client", *header), lines)


def main() -> None:
    """Measure every client, print the table, save every figure."""
    parser = arguments(__doc__)
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=CLIENTS)
    parser.add_argument("--objects", type=int, default=16, help="how many of 64 MiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", default=DEFAULT_SERVER, help="with {port}; on 127.0.0.1")
    parser.add_argument("--measure-here", choices=CLIENTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure_here:
        print(json.dumps(asdict(measure_backend(options.measure_here, options.objects))))
        return
    clients = list(options.clients)
    if "s5cmd" in clients and shutil.which("s5cmd") is None:
        print("s5cmd is not installed: left out")
        clients.remove("s5cmd")
    costs: dict[str, list[ClientCost]] = {client: [] for client in clients}
    for turn in range(options.rounds):
        first = turn % len(clients)
        for client in clients[first:] + clients[:first]:
            costs[client].append(measure_client(client, options))
    print_clients({client: median_client(of_client) for client, of_client in costs.items()})
    saved = {client: [asdict(cost) for cost in of_client] for client, of_client in costs.items()}
    results = {"objects": options.objects, "clients": saved}
    print(f"\nevery figure: {save_results(options.results, 'clients', results).name}")


if __name__ == "__main__":
    main()

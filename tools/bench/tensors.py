"""One tensor out of a big model: on a distant S3 store beside s3fs, and on a disk beside mmap.

A model in safetensors of `--mib` MiB, in bf16 with 16 MiB a tensor, is put as it is and into a store
of cas on an S3 server, and into a store in a folder. Then, each in a new process with nothing
cached, timed from after the imports to the array:

- `cas`: Version.tensors(...)[name];
- `s3fs ranges`: length, header and tensor by three reads of s3fs, as one would by hand;
- `s3fs get`: the whole file to a disk, and safetensors.safe_open;
- the same out of the folder: `cas local`, and `safe_open` on the file.

Tools take turns; medians over rounds. `--net RTT:MBIT` needs root; see remote.py. Needs a Python
that imports cas, s3fs, safetensors and ml_dtypes, and ministack.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from os import environ as process_environ
from pathlib import Path
from typing import Any

from measure import MIB, arguments, print_table, save_results
from remote import enter_network
from s3_server import BUCKET, DEFAULT_SERVER, Network, S3Server, network_of, s3_server

TENSOR_MIB = 16
FILE = "model.safetensors"
STORE_URL, FILE_URL = f"s3://{BUCKET}/store", f"{BUCKET}/plain/{FILE}"
TOOLS = ("cas", "s3fs ranges", "s3fs get", "cas local", "safe_open")
FEW = 8


def names_of(mib: int) -> list[str]:
    """Return the names of the tensors."""
    return [f"layers.{number}.weight" for number in range(mib // TENSOR_MIB)]


def wanted_of(mib: int, count: int) -> list[str]:
    """Return tensors from all over the file."""
    names = names_of(mib)
    return names[1 :: max(1, len(names) // count)][:count]


def make_model(path: Path, mib: int) -> None:
    """Write a model of weights as training leaves them: small numbers around zero."""
    import numpy as np  # not at the top: the harness stays small

    names, size = names_of(mib), TENSOR_MIB * MIB
    head = {
        name: {
            "dtype": "BF16",
            "shape": [size // 8192, 4096],
            "data_offsets": [at * size, at * size + size],
        }
        for at, name in enumerate(names)
    }
    content = json.dumps(head).encode()
    rng = np.random.default_rng(1)
    with path.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for _ in names:
            weights = rng.standard_normal(size // 2, np.float32) * np.float32(0.02)
            file.write((weights.view(np.uint32) >> 16).astype(np.uint16).tobytes())


def load_model(folder: Path) -> None:
    """Put the model everywhere."""
    import s3fs

    import cas

    quiet = cas.PutOptions(provenance=False)
    for url in (STORE_URL, str(folder / "store")):
        with cas.Store.create(url) as store:
            store.put(folder / "model", "model", quiet)
    s3fs.S3FileSystem().put(str(folder / "model" / FILE), FILE_URL)


def measure_here(tool: str, folder: Path, mib: int) -> dict[str, float]:
    """Return what one and what several tensors take in this process."""
    acts = {"one": wanted_of(mib, 1), f"{FEW}": wanted_of(mib, FEW)}
    seconds = {}
    for label, names in acts.items():
        act = _prepare(tool, folder)
        start = time.perf_counter()
        total = act(names)
        seconds[label] = time.perf_counter() - start
        assert total == len(names) * TENSOR_MIB * MIB
    return seconds


def _prepare(tool: str, folder: Path) -> Callable[[Sequence[str]], int]:
    """Import what a tool needs, and return what reads tensors with it."""
    if tool.startswith("cas"):
        # So that importing is no part of what is timed, as it is for the others.
        for module in ("ml_dtypes", "cas.store", "cas.operations.read_tensors", "obstore.store"):
            with suppress(ImportError):
                import_module(module)
        import cas

        url = str(folder / "store") if "local" in tool else STORE_URL

        def read_cas(names: Sequence[str]) -> int:
            with cas.Store.open(url) as store:
                tensors = store.version("model").tensors(FILE)
                return sum(array.nbytes for array in tensors.load(names).values())

        return read_cas
    return _prepare_peer(tool, folder)


def _prepare_peer(tool: str, folder: Path) -> Callable[[Sequence[str]], int]:
    import ml_dtypes
    import numpy as np
    import s3fs
    import safetensors

    def by_ranges(names: Sequence[str]) -> int:
        fs = s3fs.S3FileSystem(skip_instance_cache=True)
        length = int.from_bytes(fs.cat_file(FILE_URL, start=0, end=8), "little")
        head = json.loads(fs.cat_file(FILE_URL, start=8, end=8 + length))
        spans = [head[name]["data_offsets"] for name in names]
        starts, stops = ([8 + length + span[end] for span in spans] for end in (0, 1))
        contents = fs.cat_ranges([FILE_URL] * len(names), starts, stops)
        return sum(np.frombuffer(content, ml_dtypes.bfloat16).nbytes for content in contents)

    def from_file(path: Path, names: Sequence[str]) -> int:
        with safetensors.safe_open(path, framework="np") as file:
            return sum(file.get_tensor(name).nbytes for name in names)

    def whole(names: Sequence[str]) -> int:
        target = folder / "got"
        s3fs.S3FileSystem(skip_instance_cache=True).get(FILE_URL, str(target))
        return from_file(target, names)

    acts: dict[str, Callable[[Sequence[str]], int]] = {
        "s3fs ranges": by_ranges,
        "s3fs get": whole,
        "safe_open": lambda names: from_file(folder / "model" / FILE, names),
    }
    return acts[tool]


def call_here(
    words: Sequence[str], options: argparse.Namespace, server: S3Server, where: Sequence[str]
) -> str:
    """Run this script for one thing in a process of its own, and return what it prints."""
    folder = options.work.resolve()
    shutil.rmtree(folder / "home", ignore_errors=True)
    (folder / "home").mkdir()
    command = [*where, sys.executable, __file__, str(folder), "--mib", str(options.mib), *words]
    finished = subprocess.run(
        command, env=server.environ(folder / "home"), stdout=subprocess.PIPE, check=True, text=True
    )
    return finished.stdout


def measure_all(network: Network, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Return what each tool took in each round."""
    folder = options.work.resolve()
    found: dict[str, list[dict[str, Any]]] = {tool: [] for tool in options.tools}
    with s3_server(options.server, network, folder / "server.log") as server:
        call_here(["--load"], options, server, network.server_words)
        for turn in range(options.rounds):
            first = turn % len(options.tools)
            for tool in [*options.tools[first:], *options.tools[:first]]:
                server.take_traffic()
                words = ["--measure-here", tool]
                seconds = json.loads(call_here(words, options, server, network.client_words))
                traffic = server.take_traffic()
                moved = {
                    "received_mib": traffic.received / MIB,
                    "requests": len(traffic.requests),
                }
                found[tool].append(seconds | moved)
    return found


def print_found(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Print the table of medians, and return them."""
    medians = {
        tool: {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        for tool, rounds in found.items()
    }
    header = ["", "one tensor s", f"{FEW} tensors s", "received MiB", "requests"]
    print_table(
        header,
        [
            [
                tool,
                *(f"{value:.3f}" for value in list(one.values())[:2]),
                f"{one['received_mib']:.0f}",
                f"{one['requests']:.0f}",
            ]
            for tool, one in medians.items()
        ],
    )
    for peer in {"s3fs ranges", "s3fs get"} & medians.keys() if "cas" in medians else ():
        print(f"cas is {medians[peer]['one'] / medians['cas']['one']:.2f} times as fast as {peer}")
    return medians


def main() -> None:
    """Measure every tool, print the table, save every figure."""
    parser = arguments(__doc__)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    parser.add_argument("--net", default="none", help="none, or RTT:MBIT in ms and Mbit/s")
    parser.add_argument("--server", default=DEFAULT_SERVER, help="with {port}; on 127.0.0.1")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure-here", choices=TOOLS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load_model(options.work)
        return
    if options.measure_here:
        print(json.dumps(measure_here(options.measure_here, options.work, options.mib)))
        return
    enter_network(options.net)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    network = network_of(options.net, process_environ)
    folder = options.work.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "model").mkdir(parents=True)
    make_model(folder / "model" / FILE, options.mib)
    found = measure_all(network, options)
    shutil.rmtree(folder)
    print(f"\n{options.mib} MiB, network: {network.name}\n")
    print_found(found)
    path = save_results(options.results, f"tensors {network.name}", {"tools": found})
    print(f"\nevery figure: {path.name}")


if __name__ == "__main__":
    main()

"""Run the same work through cas and its peers on an S3 server, over a network of real delay or none.

Each tool puts v1 of a set into an empty bucket, puts v1 again, puts v2, and gets v2 into an empty
folder with cold caches; of smallfiles it also puts v2 with one file edited, and gets a single file.
The server is started anew for each tool and set. Tools take turns within a round, each round begins
with another tool, and medians over rounds are compared. In the first round what was got is compared
with what was put.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measure import (
    Command,
    CommandFailed,
    apparent_bytes,
    arguments,
    read_all,
    run,
    save_results,
)
from remote_targets import (
    AGAIN,
    EDITED,
    GET,
    ONE,
    PUT,
    SMALL,
    LineRate,
    RemoteSet,
    StepCost,
    judge_remote,
    median_rate,
    median_step,
    print_remote_costs,
)
from remote_tools import PREFIX, TOOLS, RemoteTool, is_installed, open_tool
from s3_server import DEFAULT_SERVER, Network, S3Server, network_of, s3_server
from targets import print_verdicts
from traffic import describe

SETS = ("smallfiles", "bigfile", "weights")
SHAPED_NET = Path(__file__).with_name("shaped_net.py")
IPERF_SECONDS = 5
IPERF_TRIES = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """One tool on one set: everything that its steps need."""

    name: str
    tool: RemoteTool
    server: S3Server
    network: Network
    work: Path
    show_requests: bool
    limit_seconds: float

    def step(self, label: str, command: Command) -> StepCost:
        """Run one command in the client's namespace, and return what it took."""
        environ = {**self.server.environ(self.work / "home"), **self.tool.environ}
        os.sync()  # here too, so that times of requests begin with the command
        self.server.take_traffic()
        words = [*self.network.client_words, *command.argv]
        cost = run(Command(words, command.folder), environ, limit_seconds=self.limit_seconds)
        traffic = self.server.take_traffic()
        if self.show_requests:
            print(f"\n{self.name}, {label}: {len(traffic.requests)} requests")
            print("\n".join(describe(traffic, PREFIX)), flush=True)
        return StepCost(
            cost,
            traffic.sent,
            traffic.received,
            len(traffic.requests),
            traffic.longest_chain(self.network.round_trip_seconds),
        )

    def put(self, label: str, source: Path) -> StepCost:
        """Put a folder whose files are in memory."""
        self.tool.before_put(source)
        read_all(source)
        return self.step(label, self.tool.put(source))

    def get(self, label: str, path: str = "") -> tuple[StepCost, Path]:
        """Get everything or one file into an empty folder; return that, too."""
        target = self.work / label.replace(" ", "-")
        target.mkdir()
        self.tool.before_get()
        command = self.tool.get_one(target, path) if path else self.tool.get(target)
        return self.step(label, command), target / self.tool.inside


def try_tool(trial: Trial, versions: Path, *, compare: bool) -> dict[str, StepCost]:
    """Run all steps of one tool on one set, and return what each took."""
    for command in trial.tool.init:
        trial.step("init", command)
    v1, v2 = (versions / "v1").resolve(), (versions / "v2").resolve()
    steps = {PUT: trial.put(PUT, v1), AGAIN: trial.put(AGAIN, v1), EDITED: trial.put(EDITED, v2)}
    last, path = v2, ""
    if versions.name == "smallfiles":
        last, (edited, path) = trial.work / "edited", two_old_paths(v1, v2)
        shutil.copytree(v2, last)
        with (last / edited).open("ab") as file:
            file.write(b"edited\n")
        steps[SMALL] = trial.put(SMALL, last)
    steps[GET], copy = trial.get(GET)
    if compare:
        check_copy(last, copy, exact=trial.tool.is_exact)
    if path:
        steps[ONE], copy = trial.get(ONE, path)
        fetched = [found for found in copy.rglob("*") if found.is_file()]
        if len(fetched) != 1 or not filecmp.cmp(fetched[0], last / path, shallow=False):
            raise CommandFailed(f"asked for {path} alone, got {fetched}")
    return steps


def two_old_paths(v1: Path, v2: Path) -> tuple[str, str]:
    """Return the first and the middle path of those files that an edit left as they were."""
    paths = sorted(path.relative_to(v1) for path in v1.rglob("*") if path.is_file())
    same = [
        path
        for path in paths
        if (v2 / path).exists() and (v2 / path).stat().st_size == (v1 / path).stat().st_size
    ]
    return str(same[0]), str(same[len(same) // 2])


def check_copy(source: Path, copy: Path, *, exact: bool) -> None:
    """Check that every file of `source` is in `copy`, and nothing else if it shall be exact."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    found = {path.relative_to(copy) for path in copy.rglob("*") if path.is_file()}
    if wanted - found or (exact and found - wanted):
        raise CommandFailed(f"put {len(wanted)} files, got {len(found)}: not the same")
    for path in wanted:
        if not filecmp.cmp(source / path, copy / path, shallow=False):
            raise CommandFailed(f"{path} is not what was put")


def measure_line(network: Network) -> LineRate | None:
    """Return what iperf3 gets out of the network with four streams each way, if it is there."""
    if network.name == "none" or shutil.which("iperf3") is None:
        return None
    return LineRate(measure_way(network), measure_way(network, "-R"))


def measure_way(network: Network, *flags: str) -> float:
    """Return the bytes a second that iperf3 gets to the server, or with `-R` from it."""
    listening = subprocess.Popen(
        [*network.server_words, "iperf3", "-s", "-B", network.server_host],
        stdout=subprocess.DEVNULL,
    )
    words = ["iperf3", "-c", network.server_host, "-P", "4", "-t", str(IPERF_SECONDS), "-J"]
    try:
        for _ in range(IPERF_TRIES):
            answer = subprocess.run(
                [*network.client_words, *words, *flags], capture_output=True, check=False
            )
            # A failure is told in the JSON, with an exit code or without.
            with suppress(ValueError, KeyError):
                return (
                    float(json.loads(answer.stdout)["end"]["sum_received"]["bits_per_second"]) / 8
                )
            time.sleep(0.2)  # it may not listen yet
    finally:
        listening.kill()
        listening.wait()
    raise SystemExit(f"iperf3 failed: {answer.stdout.decode(errors='replace')[-500:]}")


def try_once(
    name: str, turn: int, set_name: str, network: Network, options: argparse.Namespace
) -> dict[str, StepCost]:
    """Start a server, and run all steps of one tool on one set."""
    work = options.work.resolve() / f"{set_name}-{name}-{turn}"
    shutil.rmtree(work, ignore_errors=True)
    (work / "home").mkdir(parents=True)
    with s3_server(options.server, network, work / "server.log") as server:
        tool = open_tool(name, options.cas, work, server.url)
        shown = options.show_requests and turn == 0
        trial = Trial(name, tool, server, network, work, shown, options.limit)
        steps = try_tool(trial, options.sets / set_name, compare=turn == 0)
    shutil.rmtree(work)
    times = "  ".join(f"{step} {steps[step].cost.wall_seconds:.2f}" for step in steps)
    print(f"{turn + 1} {set_name:10} {name:8} {times}", flush=True)
    return steps


def try_set(
    set_name: str, network: Network, options: argparse.Namespace
) -> tuple[RemoteSet, dict[str, Any]]:
    """Run all rounds of all tools on one set; return the medians, and every figure.

    A tool that fails is left out from then on.
    """
    tools = list(options.tools)
    trials: dict[str, list[Mapping[str, StepCost]]] = defaultdict(list)
    rates = []
    for turn in range(options.rounds):
        if (rate := measure_line(network)) is not None:
            rates.append(rate)
        first = turn % len(tools)
        for name in tools[first:] + tools[:first]:
            try:
                trials[name].append(try_once(name, turn, set_name, network, options))
            except CommandFailed as failure:
                print(f"{turn + 1} {set_name:10} {name:8} FAILED: {failure}", flush=True)
                tools.remove(name)
                trials.pop(name, None)
        if not tools:
            raise SystemExit("no tool is left")
    medians = {
        name: {
            step: median_step([trial[step] for trial in trials[name]]) for step in trials[name][0]
        }
        for name in tools
    }
    size = apparent_bytes(options.sets / set_name / "v1")
    found = RemoteSet(set_name, network.name, size, medians, median_rate(rates))
    every = {
        name: [{step: asdict(trial[step]) for step in trial} for trial in trials[name]]
        for name in tools
    }
    return found, {"trials": every, "line": [asdict(rate) for rate in rates]}


def parse_arguments() -> argparse.Namespace:
    """Return the options; tools that are not installed are left out with a word."""
    parser = arguments(__doc__)
    parser.add_argument("--sets", type=Path, required=True, help="made by datasets.py --remote")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS, help="only these sets")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--net", default="none", help="none, or RTT:MBIT[:LOSS] in ms, Mbit/s, percent; needs root"
    )
    parser.add_argument(
        "--limit", type=float, default=600.0, help="seconds after which a step has failed"
    )
    parser.add_argument("--server", default=DEFAULT_SERVER, help="with {port}; on 127.0.0.1")
    parser.add_argument(
        "--show-requests", action="store_true", help="list what each step of round 1 asked for"
    )
    options = parser.parse_args()
    present = [name for name in options.tools if is_installed(name, options.cas)]
    for name in options.tools:
        if name not in present:
            print(f"{name} is not installed: left out")
    if not present:
        parser.error("there is no tool to measure")
    options.tools = present
    return options


def enter_network(name: str) -> None:
    """Go on as a command of shaped_net.py, unless that is where this runs already."""
    if name == "none" or "SRV_IP" in os.environ:
        return
    rtt, mbit, *loss = name.split(":")
    shape = ["--rtt", rtt, "--mbit", mbit, "--loss", *(loss or ["0"])]
    words = [sys.executable, str(SHAPED_NET), *shape, "--", sys.executable, *sys.argv]
    sys.stdout.flush()
    os.execv(sys.executable, words)  # noqa: S606 - ourselves


def main() -> None:
    """Run everything, print both tables, save every figure."""
    options = parse_arguments()
    enter_network(options.net)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    network = network_of(options.net, os.environ)
    sets, saved, verdicts = [], {}, []
    for set_name in options.only:
        found, saved[set_name] = try_set(set_name, network, options)
        sets.append(found)
        verdicts += judge_remote(found)
    print(f"\nnetwork: {network.name}\n")
    print_remote_costs(sets)
    if verdicts:
        print()
        print_verdicts(verdicts)
    results = {
        "rounds": options.rounds,
        "sets": saved,
        "verdicts": [asdict(line) | {"outcome": line.outcome} for line in verdicts],
    }
    path = save_results(options.results, f"remote {network.name}", results)
    print(f"\nevery figure: {path.name}")


if __name__ == "__main__":
    main()

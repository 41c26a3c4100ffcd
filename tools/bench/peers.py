"""Run the same work through cas, restic, borg, casync and cp, and print cas's ratios to them.

Each tool puts v1 of a set into a fresh store with cold caches of its own, puts v1 again, puts v2,
and gets v2 into an empty folder. Tools take turns within a round, each round begins with another
tool, and medians over rounds are compared, so that noise hits all alike. In the first round what
was got is compared with what was put.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median_high
from typing import Any

from measure import (
    MIB,
    Command,
    Cost,
    allocated_bytes,
    apparent_bytes,
    arguments,
    cas_environ,
    median_cost,
    read_all,
    run,
    save_results,
)
from targets import STEPS, Medians, judge, print_costs, print_verdicts

TOOLS = ("cas", "restic", "borg", "casync", "cp")
# casync stores least where rows move, and is far slower than the others: only its store counts.
ONLY_ON = {"casync": ("table",)}
SETS = ("bigfile", "weights", "smallfiles", "images", "table")


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool is called. `put` takes the source and a mark of its own for each put."""

    init: Command
    put: Callable[[Path, str], Command]
    get: Callable[[Path, str], Command]


def cas_tool(store: Path, cas: list[str]) -> Tool:
    """Return how cas is called; `cas` is the words that start it."""
    to_store = [*cas, "--store", str(store)]
    return Tool(
        init=Command([*cas, "init", store]),
        put=lambda source, _: Command([*to_store, "put", source, "dataset"]),
        get=lambda target, _: Command([*to_store, "get", "dataset", target]),
    )


def restic_tool(store: Path) -> Tool:
    """Return how restic is called."""
    restic = ["restic", "-q", "-r", str(store)]
    return Tool(
        init=Command([*restic, "init"]),
        put=lambda source, mark: Command([*restic, "backup", ".", "--tag", mark], source),
        get=lambda target, _: Command([*restic, "restore", "latest", "--target", target]),
    )


def borg_tool(store: Path) -> Tool:
    """Return how borg is called: unencrypted, and zstd 3 as cas and restic have it."""
    return Tool(
        init=Command(["borg", "init", "-e", "none", store]),
        put=lambda source, mark: Command(
            ["borg", "create", "-C", "zstd,3", f"{store}::{mark}", "."], source
        ),
        get=lambda target, mark: Command(["borg", "extract", f"{store}::{mark}"], target),
    )


def casync_tool(store: Path) -> Tool:
    """Return how casync is called; one index file a put."""
    flags = ["--without=privileged", f"--store={store / 'chunks.castr'}"]
    return Tool(
        init=Command(["mkdir", "-p", store]),
        put=lambda source, mark: Command(
            ["casync", "make", *flags, store / f"{mark}.caidx", source]
        ),
        get=lambda target, mark: Command(
            ["casync", "extract", *flags, store / f"{mark}.caidx", target]
        ),
    )


def cp_tool(store: Path) -> Tool:
    """Return how cp is called: the floor, with neither dedup nor checks."""
    return Tool(
        init=Command(["mkdir", "-p", store]),
        put=lambda source, mark: Command(["cp", "-r", source, store / mark]),
        get=lambda target, mark: Command(["cp", "-r", f"{store / mark}/.", target]),
    )


def open_tool(name: str, store: Path, cas: list[str]) -> Tool:
    """Return the tool called `name` on the store at `store`."""
    if name == "cas":
        return cas_tool(store, cas)
    makers = {"restic": restic_tool, "borg": borg_tool, "casync": casync_tool, "cp": cp_tool}
    return makers[name](store)


SETS_OF_MANY_FILES = ("smallfiles", "images")


def tool_environ(home: Path) -> dict[str, str]:
    """Return an environment whose caches and settings lie in `home`, and that asks nothing."""
    return cas_environ(home / "cas") | {
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "RESTIC_PASSWORD": "benchmark",
        "BORG_BASE_DIR": str(home),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    }


@dataclass(frozen=True, slots=True)
class Trial:
    """One tool on one set, once."""

    costs: dict[str, Cost]
    stored_v1: int
    stored_v2: int


def try_tool(name: str, versions: Path, work: Path, cas: list[str], *, compare: bool) -> Trial:
    """Run the four steps of one tool on one set in `work`, which is empty before."""
    store, home, target = work / "store", work / "home", work / "copy"
    home.mkdir(parents=True)
    environ = tool_environ(home)
    tool = open_tool(name, store, cas)
    run(tool.init, environ)
    costs: dict[str, Cost] = {}
    stored: dict[str, int] = {}
    for step, version in zip(STEPS[:3], ("v1", "v1", "v2"), strict=True):
        mark = f"{version}-{step.replace(' ', '-')}"
        source = (versions / version).resolve()
        read_all(source)
        costs[step] = run(tool.put(source, mark), environ)
        os.sync()
        stored[version] = allocated_bytes(store)
    target.mkdir()
    costs["get"] = run(tool.get(target, mark), environ)
    if compare:
        subprocess.run(["diff", "-r", versions / "v2", target], check=True)
    return Trial(costs, stored["v1"], stored["v2"])


def try_set(set_name: str, tools: list[str], options: argparse.Namespace) -> dict[str, list[Trial]]:
    """Run all rounds of all tools on one set, and say how each went."""
    trials: dict[str, list[Trial]] = defaultdict(list)
    for turn in range(options.rounds):
        first = turn % len(tools)
        for name in tools[first:] + tools[:first]:
            work = options.work.resolve() / f"{set_name}-{name}-{turn}"
            shutil.rmtree(work, ignore_errors=True)
            trial = try_tool(name, options.sets / set_name, work, options.cas, compare=turn == 0)
            trials[name].append(trial)
            # ext4 does not reuse an inode for minutes after it was deleted, and looks at each such
            # one whenever a file is made: deleting many files slows down whoever comes next.
            if set_name not in SETS_OF_MANY_FILES:
                shutil.rmtree(work)
            times = "  ".join(f"{step} {trial.costs[step].wall_seconds:.2f}" for step in STEPS)
            sizes = f"{trial.stored_v1 / MIB:.1f} -> {trial.stored_v2 / MIB:.1f} MiB"
            print(f"{turn + 1} {set_name:10} {name:7} {times}  {sizes}", flush=True)
    return {name: trials[name] for name in tools}


def medians_of(trials: list[Trial]) -> Medians:
    """Return the medians of several trials of one tool on one set."""
    return Medians(
        {step: median_cost([trial.costs[step] for trial in trials]) for step in STEPS},
        median_high(trial.stored_v1 for trial in trials),
        median_high(trial.stored_v2 for trial in trials),
    )


def tool_versions(tools: Iterable[str], cas: list[str]) -> dict[str, str]:
    """Return what each tool says its version is; the peers' figures change with them."""
    calls = {"cas": [*cas, "--version"], "restic": ["restic", "version"]}
    versions = {}
    for name in tools:
        words = calls.get(name, [name, "--version"])
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        versions[name] = answer.stdout.partition("\n")[0]
    return versions


def parse_arguments() -> argparse.Namespace:
    """Return the options; tools that are not installed are left out with a word."""
    parser = arguments(__doc__)
    parser.add_argument("--sets", type=Path, required=True, help="folder made by datasets.py")
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS, help="only these sets")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=TOOLS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    present = []
    for name in options.tools:
        if shutil.which(options.cas[0] if name == "cas" else name):
            present.append(name)
        else:
            print(f"{name} is not installed: left out")
    if not present:
        parser.error("there is no tool to measure")
    options.tools = present
    return options


def main() -> None:
    """Run everything, print both tables, save every figure."""
    options = parse_arguments()
    medians: dict[tuple[str, str], Medians] = {}
    verdicts = []
    saved: dict[str, Any] = {}
    for set_name in options.only:
        tools = [name for name in options.tools if set_name in ONLY_ON.get(name, SETS)]
        trials = try_set(set_name, tools, options)
        saved[set_name] = {name: [asdict(trial) for trial in trials[name]] for name in tools}
        of_set = {name: medians_of(trials[name]) for name in tools}
        medians |= {(set_name, name): of_set[name] for name in tools}
        if "cas" in of_set:
            raw_v1 = apparent_bytes(options.sets / set_name / "v1")
            verdicts += judge(set_name, of_set, raw_v1)
    print()
    print_costs(medians)
    if verdicts:
        print()
        print_verdicts(verdicts)
    results = {
        "tools": tool_versions(options.tools, options.cas),
        "rounds": options.rounds,
        "sets": saved,
        "verdicts": [asdict(line) | {"outcome": line.outcome} for line in verdicts],
    }
    print(f"\nevery figure: {save_results(options.results, 'peers', results).name}")
    for set_name in options.only:
        for work in options.work.glob(f"{set_name}-*"):
            shutil.rmtree(work)


if __name__ == "__main__":
    main()

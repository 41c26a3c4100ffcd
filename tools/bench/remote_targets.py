"""What cas must reach on an S3 server beside its peers, and the tables that say whether it does."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_high

from measure import MIB, Cost, median_cost, print_table
from targets import PEAK_LIMIT_MIB, Verdict

PUT, AGAIN, EDITED, SMALL, GET, ONE = STEPS = (
    "put v1",
    "put again",
    "put v2",
    "small put",
    "get",
    "get one",
)

# Times are compared where a round trip costs something, and the line is no limit.
TIMED_NETWORK = "30:1000"
# set, step: the share of a peer's time that cas may take, and whose.
TIME_LIMITS: dict[tuple[str, str], tuple[float, str]] = {
    ("smallfiles", PUT): (0.5, "restic"),
    ("smallfiles", AGAIN): (0.4, "restic"),
    ("smallfiles", GET): (0.6, "restic"),
    ("smallfiles", ONE): (0.4, "restic"),
    ("bigfile", PUT): (1.15, "s5cmd"),
    ("bigfile", EDITED): (0.6, "restic"),
    ("bigfile", GET): (1.15, "s5cmd"),
    ("weights", PUT): (0.9, "s5cmd"),
    ("weights", GET): (0.9, "s5cmd"),
}
# On a slow line with losses cas must fill it.
FILLED_NETWORK = "10:200:0.5"
FILLING = {("bigfile", PUT), ("bigfile", GET)}
LINE_SHARE = 0.9
REQUEST_LIMITS = {
    ("bigfile", AGAIN): 6,
    ("weights", AGAIN): 6,
    ("smallfiles", AGAIN): 6,
    ("smallfiles", SMALL): 12,
    ("smallfiles", PUT): 20,
}
CHAIN_LIMITS = {("smallfiles", ONE): 5}


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one step took of the client, and what it asked of the server.

    `chain` is the number of requests that may have waited for each other in a row.
    """

    cost: Cost
    sent: int
    received: int
    requests: int
    chain: int


@dataclass(frozen=True, slots=True)
class LineRate:
    """What a transfer that does nothing else got out of the network, in bytes a second."""

    put: float
    get: float


@dataclass(frozen=True, slots=True)
class RemoteSet:
    """A set on a network: its size, the medians of each tool's steps, and what the line gave."""

    name: str
    network: str
    size: int
    tools: Mapping[str, Mapping[str, StepCost]]
    line: LineRate | None


def median_step(costs: Sequence[StepCost]) -> StepCost:
    """Return the medians of everything but the peak, which is the highest."""
    return StepCost(
        median_cost([step.cost for step in costs]),
        median_high(step.sent for step in costs),
        median_high(step.received for step in costs),
        median_high(step.requests for step in costs),
        median_high(step.chain for step in costs),
    )


def median_rate(rates: Sequence[LineRate]) -> LineRate | None:
    """Return the medians of what the line gave, if it was measured."""
    if not rates:
        return None
    return LineRate(
        statistics.median(rate.put for rate in rates), statistics.median(rate.get for rate in rates)
    )


def judge_remote(found: RemoteSet) -> list[Verdict]:
    """Return a verdict on each thing that cas, or the first form of it, must reach on a set."""
    own = next((name for name in found.tools if name.startswith("cas")), None)
    if own is None:
        return []
    verdicts = []
    steps = found.tools[own]
    for step, measured in steps.items():
        place = (found.name, step)
        if found.network == TIMED_NETWORK and place in TIME_LIMITS:
            verdicts.append(_judge_time(found, own, step))
        if found.network == FILLED_NETWORK and place in FILLING:
            verdicts.append(_judge_share(found, own, step))
        if place in REQUEST_LIMITS:
            verdicts.append(_judge_count(found, step, "requests", measured.requests))
        # Without a round trip what follows by chance cannot be told from what waited.
        if found.network != "none" and place in CHAIN_LIMITS:
            verdicts.append(_judge_count(found, step, "in a row", measured.chain))
    peak = max(measured.cost.peak_mib for measured in steps.values())
    verdicts.append(Verdict(found.name, "peak", f"{peak:.0f} MiB", "", peak, PEAK_LIMIT_MIB))
    return verdicts


def _judge_time(found: RemoteSet, own: str, step: str) -> Verdict:
    limit, peer = TIME_LIMITS[found.name, step]
    seconds = found.tools[own][step].cost.wall_seconds
    if peer not in found.tools:
        return Verdict(found.name, step, f"{seconds:.2f} s", peer, None, limit)
    other = found.tools[peer][step].cost.wall_seconds
    return Verdict(
        found.name, step, f"{seconds:.2f} s", f"{peer} {other:.2f} s", seconds / other, limit
    )


def _judge_share(found: RemoteSet, own: str, step: str) -> Verdict:
    claim = f"{step}, share of the line"
    rate = found.size / found.tools[own][step].cost.wall_seconds
    shown = f"{rate / MIB:.1f} MiB/s"
    if found.line is None:
        return Verdict(found.name, claim, shown, "iperf3", None, LINE_SHARE, at_least=True)
    line = found.line.put if step == PUT else found.line.get
    peer = f"iperf3 {line / MIB:.1f} MiB/s"
    return Verdict(found.name, claim, shown, peer, rate / line, LINE_SHARE, at_least=True)


def _judge_count(found: RemoteSet, step: str, what: str, count: int) -> Verdict:
    limits = CHAIN_LIMITS if what == "in a row" else REQUEST_LIMITS
    limit = limits[found.name, step]
    return Verdict(found.name, f"{step}, {what}", str(count), "", count, limit)


def print_remote_costs(sets: Sequence[RemoteSet]) -> None:
    """Print every tool's medians, a line for each step."""
    lines = []
    for found in sets:
        for tool, steps in found.tools.items():
            lines += [[found.name, tool, step, *_cells(steps[step])] for step in steps]
    header = ("wall s", "CPU s", "sent MiB", "received MiB", "requests", "in a row", "peak MiB")
    print_table(("set", "tool", "step", *header), lines)
    for found in sets:
        if found.line is not None:
            put, get = (8 * rate / 1e6 for rate in (found.line.put, found.line.get))
            print(f"{found.name}: iperf3 got {put:.0f} Mbit/s up, {get:.0f} Mbit/s down")


def _cells(step: StepCost) -> list[str]:
    return [
        f"{step.cost.wall_seconds:.2f}",
        f"{step.cost.cpu_seconds:.2f}",
        f"{step.sent / MIB:.1f}",
        f"{step.received / MIB:.1f}",
        str(step.requests),
        str(step.chain),
        f"{step.cost.peak_mib:.0f}",
    ]

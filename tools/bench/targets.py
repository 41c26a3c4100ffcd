"""What cas must reach beside its peers, and the table that says whether it does.

Times are ratios to a peer in the same run: absolute figures change with machine and hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from measure import MIB, Cost, print_table, verdict

STEPS = ("put v1", "put again", "put v2", "get")
PEAK_LIMIT_MIB = 400


@dataclass(frozen=True, slots=True)
class Medians:
    """One tool on one set: the cost of each step, and the store's bytes after v1 and v2."""

    costs: Mapping[str, Cost]
    stored_v1: int
    stored_v2: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table: what was measured, against what, and whether it is enough.

    `value` and `limit` are ratios, counts or MiB; `value` is None when the peer was not there.
    The limit is the most that is enough, or with `at_least` the least.
    """

    set_name: str
    claim: str
    cas: str
    peer: str
    value: float | None
    limit: float
    at_least: bool = False

    @property
    def outcome(self) -> str:
        """PASS, MISS, or a dash when there is nothing to compare with."""
        if self.value is None:
            return "-"
        sign = -1 if self.at_least else 1
        return verdict(sign * self.value, sign * self.limit)


# set: for each step the ratio that cas must keep to, and to whom.
TIME_LIMITS: dict[str, tuple[tuple[float, str], ...]] = {
    "bigfile": ((0.6, "borg"), (0.5, "restic"), (0.6, "borg"), (0.7, "borg")),
    "weights": ((0.8, "borg"), (0.5, "restic"), (0.8, "borg"), (0.8, "borg")),
    "smallfiles": ((0.4, "restic"), (0.6, "restic"), (0.8, "restic"), (0.6, "restic")),
    "images": ((0.7, "borg"), (0.8, "borg"), (0.6, "borg"), (0.6, "restic")),
    "table": ((0.8, "borg"), (0.7, "borg"), (0.8, "borg"), (1.0, "borg")),
}
# set: the share of a peer's store that cas may take, both after v2.
STORE_LIMITS: dict[str, tuple[float, str]] = {
    "smallfiles": (0.8, "borg"),
    "images": (1.0, "borg"),
    "table": (0.85, "casync"),
}
BIGFILE_GROWTH_LIMIT_MIB = 14
WEIGHTS_SHARE_LIMIT = 0.70


def judge(set_name: str, tools: Mapping[str, Medians], raw_v1: int) -> list[Verdict]:
    """Return a verdict on each thing that cas must reach on a set."""
    cas = tools["cas"]
    verdicts = [
        _judge_time(set_name, step, limit, tools)
        for step, limit in zip(STEPS, TIME_LIMITS.get(set_name, ()), strict=False)
    ]
    if set_name == "bigfile":
        growth = (cas.stored_v2 - cas.stored_v1) / MIB
        verdicts.append(
            Verdict(set_name, "v2 adds", f"{growth:.1f} MiB", "", growth, BIGFILE_GROWTH_LIMIT_MIB)
        )
    if set_name == "weights":
        share = cas.stored_v1 / raw_v1
        verdicts.append(
            Verdict(
                set_name,
                "v1 stored",
                _mib(cas.stored_v1),
                f"raw {_mib(raw_v1)}",
                share,
                WEIGHTS_SHARE_LIMIT,
            )
        )
    if set_name in STORE_LIMITS:
        verdicts.append(_judge_store(set_name, tools))
    peak = max(cost.peak_mib for cost in cas.costs.values())
    verdicts.append(Verdict(set_name, "peak", f"{peak:.0f} MiB", "", peak, PEAK_LIMIT_MIB))
    return verdicts


def _judge_time(
    set_name: str, step: str, limit: tuple[float, str], tools: Mapping[str, Medians]
) -> Verdict:
    ratio, peer = limit
    own = tools["cas"].costs[step].wall_seconds
    if peer not in tools:
        return Verdict(set_name, step, f"{own:.2f} s", peer, None, ratio)
    other = tools[peer].costs[step].wall_seconds
    return Verdict(set_name, step, f"{own:.2f} s", f"{peer} {other:.2f} s", own / other, ratio)


def _judge_store(set_name: str, tools: Mapping[str, Medians]) -> Verdict:
    ratio, peer = STORE_LIMITS[set_name]
    own = tools["cas"].stored_v2
    if peer not in tools:
        return Verdict(set_name, "stored", _mib(own), peer, None, ratio)
    other = tools[peer].stored_v2
    return Verdict(set_name, "stored", _mib(own), f"{peer} {_mib(other)}", own / other, ratio)


def _mib(size: int) -> str:
    return f"{size / MIB:.1f} MiB"


def print_costs(rows: Mapping[tuple[str, str], Medians]) -> None:
    """Print every tool's medians: seconds (CPU seconds, peak MiB) a step, and its store."""
    lines = []
    for (set_name, tool), medians in rows.items():
        cells = [
            f"{cost.wall_seconds:.2f} s ({cost.cpu_seconds:.1f} s, {cost.peak_mib:.0f} MiB)"
            for cost in (medians.costs[step] for step in STEPS)
        ]
        stored = f"{medians.stored_v1 / MIB:.1f} -> {medians.stored_v2 / MIB:.1f}"
        lines.append([set_name, tool, *cells, stored])
    print_table(("set", "tool", *STEPS, "store MiB"), lines)


def print_verdicts(verdicts: list[Verdict]) -> None:
    """Print the table of targets, and how many are met."""
    lines = []
    for line in verdicts:
        value = "not measured" if line.value is None else f"{line.value:.3f}"
        cells = [line.set_name, line.claim, line.cas, line.peer, value]
        sign = ">=" if line.at_least else "<="
        lines.append([*cells, f"{sign} {line.limit:g}", line.outcome])
    print_table(("set", "what", "cas", "peer", "value", "target", ""), lines)
    met = sum(line.outcome == "PASS" for line in verdicts)
    print(f"{met} of {len(verdicts)} targets met")

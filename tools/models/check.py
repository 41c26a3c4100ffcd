"""Searches every interleaving of the protocol's actors, with each rule and with each one taken out.

    python tools/models/check.py            everything, in some minutes
    python tools/models/check.py --quick    what every change is checked with
    python tools/models/check.py -v WORD    scenarios with WORD in their names; shows traces
    python tools/models/check.py --table    the tables of specs/protocol/model.md

With all rules nothing may go wrong, and the states that a scenario is there for must be reached.
With a rule taken out the loss must be found. Anything else is a failure, and the exit code is 1.
See specs/protocol/model.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from protocol.explorer import Found, Scenario, search
from protocol.holding import holding
from protocol.rules import Rule
from protocol.steps import STEPS
from protocol.taken_out import taken_out


class Claim(NamedTuple):
    """A scenario, and what must go wrong in it; None if nothing may."""

    scenario: Scenario
    expected: str | None = None
    rule: Rule | None = None


class Verdict(NamedTuple):
    """What the search of a claim found, and why that is not as it should be, if it is not."""

    found: Found
    seconds: float
    failure: str | None


def claims() -> Iterator[Claim]:
    """Return all that is claimed of the protocol."""
    for scenario in holding():
        yield Claim(scenario)
    for loss in taken_out():
        yield Claim(loss.scenario, loss.expected, loss.rule)


def examine(claim: Claim) -> Verdict:
    """Search a scenario and compare what is found with what is claimed."""
    began = time.perf_counter()
    found = search(claim.scenario)
    return Verdict(found, time.perf_counter() - began, failure_of(claim, found))


def failure_of(claim: Claim, found: Found) -> str | None:
    """Say why a search does not bear a claim out."""
    if claim.expected is None:
        missed = sorted(set(claim.scenario.reaches) - found.marks)
        if found.wrong is None and missed:
            return f"never reached: {', '.join(missed)}"
        return found.wrong
    if found.wrong is None:
        return "no loss is found without this rule"
    if claim.expected not in found.wrong:
        return f"another loss than expected: {found.wrong}"
    return None


def gaps(marks: frozenset[str]) -> list[str]:
    """Say what the scenarios together leave out: rules never taken out, steps never taken."""
    untried = sorted(set(Rule) - {claim.rule for claim in claims()})
    unreached = sorted(set(STEPS) - marks)
    return [f"rule never taken out: {rule.name}" for rule in untried] + [
        f"step never reached: {step}" for step in unreached
    ]


def examine_all(chosen: Sequence[Claim], jobs: int) -> Iterator[Verdict]:
    """Examine claims, several at a time, and return the verdicts in the same order."""
    if jobs == 1:
        yield from map(examine, chosen)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(examine, chosen)


def show(claim: Claim, verdict: Verdict, *, verbose: bool) -> None:
    """Print a line about a claim, and the trace of what went wrong if it is asked for."""
    found, failure = verdict.found, verdict.failure
    answer = "holds" if found.wrong is None else f"in {len(found.trace)} steps {found.wrong}"
    name = (
        claim.scenario.name if claim.rule is None else f"{claim.scenario.name} [{claim.rule.name}]"
    )
    print(f"{name:100} {found.states:8} states {verdict.seconds:6.1f} s  {answer}", flush=True)
    if failure:
        print(f"    FAILED: {failure}")
    if failure or verbose:
        for line in found.trace:
            print(f"    {line}")


def row(claim: Claim, verdict: Verdict) -> str:
    """Return a line of a table of the page about the model."""
    found, scenario = verdict.found, claim.scenario
    if claim.rule is None:
        deep = " (deep)" if scenario.deep else ""
        return f"| {scenario.name}{deep} | {found.states:,} | {found.depth} |"
    rule = f"| `{claim.rule.name}` | {claim.rule.value} |"
    return f"{rule} {found.wrong} | {len(found.trace)} | {found.states:,} |"


def chosen_claims(*, quick: bool, words: Sequence[str]) -> list[Claim]:
    """Return the claims to examine."""
    return [
        claim
        for claim in claims()
        if not (quick and claim.scenario.deep)
        and (not words or any(word in claim.scenario.name for word in words))
    ]


def main(arguments: Sequence[str]) -> int:
    """Examine what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="only scenarios named so")
    parser.add_argument("--quick", action="store_true", help="leave out the deep scenarios")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("-v", "--verbose", action="store_true", help="show how each loss happens")
    parser.add_argument("--table", action="store_true", help="print rows of Markdown")
    options = parser.parse_args(arguments)
    chosen = chosen_claims(quick=options.quick, words=options.words)
    states, failed, marks = 0, 0, frozenset[str]()
    for claim, verdict in zip(chosen, examine_all(chosen, options.jobs), strict=True):
        if options.table:
            print(row(claim, verdict), flush=True)
        else:
            show(claim, verdict, verbose=options.verbose)
        states += verdict.found.states
        failed += verdict.failure is not None
        marks |= verdict.found.marks
    left_out = [] if options.words else gaps(marks)
    for line in left_out:
        print(f"FAILED: {line}")
    print(f"{len(chosen)} scenarios, {states} states, {failed + len(left_out)} failed")
    return 1 if failed or left_out or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The model of the protocol: it is searched whole, and it would notice if it proved nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "specs" / "protocol" / "model.md"
CHECK = ROOT / "tools" / "models" / "check.py"


@pytest.fixture
def model(monkeypatch):
    """The tool that checks the model, as a module."""
    monkeypatch.syspath_prepend(str(CHECK.parent))
    import check

    return check


def claim_called(model, name: str):
    return next(claim for claim in model.claims() if claim.scenario.name == name)


def test_every_rule_is_needed_and_all_together_are_enough():
    """The quick part of the search finds no loss with all rules, and one without each of them."""
    done = subprocess.run(
        [sys.executable, CHECK, "--quick"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout


def test_a_rule_that_prevents_no_loss_is_reported(model):
    """A scenario without a rule that still holds is a failure, not a pass."""
    holding = claim_called(model, "intent before the blobs")

    verdict = model.examine(holding._replace(expected="lacks blob"))

    assert verdict.failure == "no loss is found without this rule"


def test_a_loss_of_another_kind_is_reported(model):
    """Whoever takes out a rule says what it prevents."""
    loss = next(claim for claim in model.claims() if claim.rule is not None)

    verdict = model.examine(loss._replace(expected="published twice"))

    assert verdict.failure is not None
    assert "lacks blob" in verdict.failure


def test_a_scenario_in_which_nothing_happens_is_reported(model):
    """It holds for want of action, so it says nothing."""
    from dataclasses import replace

    claim = claim_called(model, "intent before the blobs")
    idle = replace(claim.scenario, actors=claim.scenario.actors[:1])

    verdict = model.examine(claim._replace(scenario=idle))

    assert verdict.failure == "never reached: told after the old blob went"


def test_rules_and_steps_that_no_scenario_has_are_reported(model):
    """What was reached is compared with all that is written down."""
    reached = frozenset(model.STEPS) - {"drop_intents"}

    assert model.gaps(reached) == ["step never reached: drop_intents"]
    assert model.gaps(frozenset(model.STEPS)) == []


def test_a_trace_ends_with_the_step_that_loses_something(model):
    """It tells everything that led there, one request a line."""
    claim = next(one for one in model.claims() if one.rule is not None and one.rule.name == "W2")

    trace = model.examine(claim).found.trace

    assert any("condemns" in line for line in trace)
    assert any("publishes v0" in line for line in trace)
    assert "deletes" in trace[-1]


def test_the_page_tells_of_every_scenario_and_rule(model):
    """Whoever adds one writes down what it is for."""
    text = PAGE.read_text(encoding="utf-8")

    missing = [
        claim.scenario.name
        for claim in model.claims()
        if f"| {claim.scenario.name}" not in text
        and (claim.rule is None or f"| `{claim.rule.name}` | {claim.rule.value} |" not in text)
    ]

    assert missing == []

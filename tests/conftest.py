"""What holds for every test: none asserts times, and examples repeat where CI is set.

Hypothesis's deadline is such an assertion: a busy machine would fail it.
"""

from __future__ import annotations

import os

from hypothesis import settings


def pytest_addoption(parser):
    """Add what `tools/check --all` says, which has installed them."""
    parser.addoption(
        "--need-clients", action="store_true", help="a test of a client that is skipped fails"
    )


pytest_plugins = ["servers.fixtures"]

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

"""The suite's assertions explain themselves as those of test modules do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite("cas.testing.backend_contract")


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment nor the home folder holds credentials, and no cloud is asked."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")

"""The suite's assertions explain themselves as those of test modules do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("cas.testing.backend_contract")

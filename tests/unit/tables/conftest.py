"""A database for all tests of tables: it keeps nothing of one comparison that another would see."""

from __future__ import annotations

import pytest

from cas.tables.database import open_database


@pytest.fixture(scope="module")
def database():
    """A database that reads what it is served."""
    pytest.importorskip("duckdb")
    with open_database(256 << 20) as database:
        yield database

"""fsspec's own tests of filesystems, all of them, on a draft."""

from __future__ import annotations

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

import cas


class DraftFixtures(AbstractFixtures):
    """A draft of nothing."""

    @pytest.fixture
    def fs(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
        with cas.Store.create(tmp_path / "store") as store, store.draft("suite") as draft:
            yield draft
            draft.discard()

    @pytest.fixture
    def fs_path(self):
        return ""

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(filter(None, parts))


class TestCopy(DraftFixtures, AbstractCopyTests):
    """Copying within the draft."""


class TestGet(DraftFixtures, AbstractGetTests):
    """Getting files out of the draft."""


class TestPut(DraftFixtures, AbstractPutTests):
    """Putting files into the draft."""


class TestOpen(DraftFixtures, AbstractOpenTests):
    """Opening files for writing."""


class TestPipe(DraftFixtures, AbstractPipeTests):
    """Writing bytes."""

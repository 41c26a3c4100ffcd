"""fsspec's own tests of filesystems, as far as one that only reads can take them.

Their scenarios are made by writing; here each is put from a folder instead.
"""

from __future__ import annotations

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

import cas


class TestGet(AbstractFixtures, AbstractGetTests):
    """Every test of `get`."""

    @pytest.fixture
    def fs(self, suite_store):
        return cas.CasFileSystem(store=suite_store.url)

    @pytest.fixture
    def fs_path(self):
        return "suite@latest"

    @pytest.fixture
    def suite_store(self, tmp_path):
        with cas.Store.create(tmp_path / "suite-store") as store:
            yield store

    @pytest.fixture
    def scenario(self, suite_store, tmp_path):
        """Put what one of the suite's makers of scenarios makes in a folder."""

        def put(make):
            folder = tmp_path / "scenario"
            make(LocalFileSystem(auto_mkdir=True), lambda *parts: "/".join(parts), str(folder))
            suite_store.put(folder, "suite")
            return "suite@latest/source"

        return put

    @pytest.fixture
    def fs_join(self):
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, scenario):
        return scenario(self._bulk_operations_scenario_0)

    @pytest.fixture
    def fs_glob_edge_cases_files(self, scenario):
        return scenario(self._glob_edge_cases_files)

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self, scenario):
        return scenario(self._dir_and_file_with_same_name_prefix)

    @pytest.fixture
    def fs_10_files_with_hashed_names(self, scenario):
        return scenario(self._10_files_with_hashed_names)

    def test_get_directory_recursive(
        self, fs, fs_join, fs_path, local_fs, local_join, local_target, scenario, monkeypatch
    ):
        """What this test would write is there before."""
        scenario(lambda local, join, path: local.touch(join(path, "src", "file")))
        monkeypatch.setattr(fs, "mkdir", lambda path: None)
        monkeypatch.setattr(fs, "touch", lambda path: None)

        super().test_get_directory_recursive(
            fs, fs_join, fs_path, local_fs, local_join, local_target
        )

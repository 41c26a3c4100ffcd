"""URLs: what they open, what they may show, and what they cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cas.backend.fsspec_backend import FsspecBackend
from cas.backend.local import LocalBackend
from cas.backend.open import open_backend, redact_url
from cas.errors import ErrorCode, InvalidInputError, UnsupportedError


@pytest.mark.parametrize("scheme", ["", "file://", "local://", "FILE://"])
def test_paths_and_file_urls_open_a_folder(tmp_path, scheme):
    """All spellings of one folder open the same backend."""
    backend = open_backend(f"{scheme}{tmp_path}/store")

    assert isinstance(backend, LocalBackend)
    assert backend.url == f"file://{tmp_path}/store"


def test_a_path_object_opens_a_folder(tmp_path):
    """A pathlib path is as good as text."""
    assert open_backend(tmp_path).url == f"file://{tmp_path}"


def test_home_is_expanded(monkeypatch, tmp_path):
    """`~` works where no shell expands it."""
    monkeypatch.setenv("HOME", str(tmp_path))

    assert open_backend("~/store").url == f"file://{tmp_path}/store"


def test_a_file_url_is_taken_as_it_is(tmp_path):
    """Percent signs are part of the name, as in fsspec."""
    assert open_backend(f"file://{tmp_path}/a%20b").url == f"file://{tmp_path}/a%20b"


def test_any_other_url_opens_through_fsspec():
    """The memory filesystem of fsspec stands for all of them."""
    backend = open_backend("memory://bucket/prefix/")

    assert isinstance(backend, FsspecBackend)
    assert backend.url == "memory://bucket/prefix"
    assert not backend.capabilities.local


@pytest.mark.parametrize(
    "url",
    [
        "",
        "://x",
        "1://x",
        "unknown-scheme://bucket",
        "simplecache::memory://x",
        "a::b://c",
        "cas://name@v3",
        "casdraft://id",
    ],
)
def test_what_opens_nothing_is_invalid_input(url):
    """Unknown schemes and chains of filesystems are refused by name."""
    with pytest.raises(InvalidInputError) as caught:
        open_backend(url)

    assert caught.value.code is ErrorCode.INVALID_URL


def test_a_missing_driver_says_what_to_install(monkeypatch):
    """The hint is a command."""
    # The module that is imported by name too, or one that an earlier test imported would serve.
    for name in ("gcsfs", "gcsfs.core"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(UnsupportedError) as caught:
        open_backend("gs://bucket/prefix")

    assert caught.value.code is ErrorCode.MISSING_EXTRA
    assert caught.value.hint == "pip install 'cas-store[gcs]'"


def test_a_folder_opens_without_fsspec(tmp_path: Path):
    """Importing fsspec costs every command on a local store its start-up time."""
    script = (
        "import sys; from cas.backend.open import open_backend; "
        f"open_backend({str(tmp_path)!r}); sys.exit('fsspec' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://key:secret@bucket/prefix/", "s3://bucket/prefix"),
        ("https://user@host:443/a?token=secret&x=1", "https://host:443/a"),
        ("s3://a:p@ss@bucket/with@at", "s3://bucket/with@at"),
        ("abfs://container@account.dfs.core.windows.net/p", "abfs://container@account.dfs.core.windows.net/p"),
        ("S3://bucket", "s3://bucket"),
        ("cas://name@v3/path", "cas://name@v3/path"),
        ("memory://", "memory://"),
        ("/plain/path?x@y", "/plain/path?x@y"),
    ],
)  # fmt: skip
def test_a_shown_url_has_no_secrets(url, shown):
    """User part and query are gone, the place is still recognised."""
    assert redact_url(url) == shown


@pytest.mark.parametrize("url", ["s3://key:hunter2hunter2@bucket/x", "gs://hunter2hunter2@bucket"])
def test_credentials_in_the_url_of_a_bucket_are_refused(url):
    """The driver would take them for a part of the bucket's name, and say so."""
    with pytest.raises(InvalidInputError) as caught:
        open_backend(url)

    assert caught.value.code is ErrorCode.INVALID_URL
    assert "hunter2" not in str(caught.value)


def test_errors_about_a_url_hide_its_secrets():
    """A refused URL is shown without its password."""
    with pytest.raises(InvalidInputError) as caught:
        open_backend("simplecache::s3://key:hunter2@bucket/x?sig=hunter2")

    assert "hunter2" not in str(caught.value)

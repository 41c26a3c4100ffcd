"""What drivers are told when they are opened, and who may say otherwise."""

from __future__ import annotations

import logging
import pickle

import pytest

from cas.backend.driver_options import merge_options
from cas.backend.fsspec_backend import open_fsspec_backend
from cas.backend.open_driver import open_filesystem

S3 = {"key": "test", "secret": "test", "endpoint_url": "http://127.0.0.1:1"}


def open_s3(**options):
    pytest.importorskip("s3fs")
    return open_filesystem("s3://bucket/x", {**S3, **options}, shown_url="s3://bucket/x")[0]


def test_what_the_user_says_wins_at_any_depth():
    """A default fills in only what was left open."""
    defaults = {"a": 1, "deep": {"x": 1, "y": {"z": 1}}, "list": True}
    options = {"deep": {"y": {"z": 2}}, "list": [1]}

    assert merge_options(defaults, options) == {
        "a": 1,
        "deep": {"x": 1, "y": {"z": 2}},
        "list": [1],
    }
    assert options == {"deep": {"y": {"z": 2}}, "list": [1]}


@pytest.mark.parametrize(("url", "options"), [("s3://b/x", S3), ("gs://b/x", {"token": "anon"})])
def test_a_copy_in_another_process_tries_each_request_once_too(url, options, monkeypatch):
    """A pickled backend and a forked one open their driver anew."""
    pytest.importorskip("s3fs" if url.startswith("s3") else "gcsfs")
    tried = []
    monkeypatch.setattr("cas.backend.fsspec_backend.try_once", tried.append)

    opened = open_fsspec_backend(url, options, shown_url=url)
    pickle.loads(pickle.dumps(opened)).close()
    opened.close()

    assert len(tried) == 1


def test_s3_tries_each_request_once_with_limits_and_no_cache():
    """Trying again is left to one place above."""
    filesystem = open_s3()

    assert filesystem.retries == 1
    assert filesystem.max_concurrency == 1
    assert filesystem.config_kwargs["retries"]["total_max_attempts"] == 1
    assert filesystem.config_kwargs["connect_timeout"] == 5
    assert filesystem.config_kwargs["read_timeout"] == 20
    assert not filesystem.dircache.use_listings_cache


def test_the_users_options_for_s3_are_kept():
    """Also inside of what cas sets."""
    filesystem = open_s3(config_kwargs={"read_timeout": 60}, max_concurrency=4)

    assert filesystem.config_kwargs["read_timeout"] == 60
    assert filesystem.config_kwargs["connect_timeout"] == 5
    assert filesystem.max_concurrency == 4


@pytest.mark.parametrize(
    ("variables", "options", "region"),
    [
        ({"AWS_REGION": "eu-west-3"}, {}, "eu-west-3"),
        ({"AWS_REGION": "eu-west-3", "AWS_DEFAULT_REGION": "eu-west-1"}, {}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-3"}, {"client_kwargs": {"region_name": "sa-east-1"}}, "sa-east-1"),
    ],
)
def test_the_region_comes_from_the_variable_that_others_read(
    variables, options, region, monkeypatch
):
    """An explicit one wins."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert open_s3(**options)._s3.meta.region_name == region


def test_gcs_has_limits_and_asks_no_emulator_for_more_than_it_knows(monkeypatch):
    """The plain class; its loop of repetitions is gone."""
    core = pytest.importorskip("gcsfs.core")
    monkeypatch.delenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", raising=False)
    options = {"token": "anon", "endpoint_url": "http://127.0.0.1:1"}

    filesystem, root = open_filesystem("gs://bucket/x/", options, shown_url="gs://bucket/x")

    assert type(filesystem) is core.GCSFileSystem
    assert root == "bucket/x"
    assert filesystem.requests_timeout.sock_read == 20
    assert filesystem._request.func is core.GCSFileSystem._request.__wrapped__


def test_drivers_do_not_write_to_standard_error_by_themselves(capfd):
    """What they log is in the exception; only a handler that the user set gets it."""
    open_s3()
    logging.getLogger("gcsfs").error("out of retries")

    assert capfd.readouterr().err == ""

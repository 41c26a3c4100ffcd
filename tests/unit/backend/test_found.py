"""What drivers say of objects, in one form."""

from __future__ import annotations

import datetime

import pytest

from cas.backend.found import found_object

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
MOMENT_NS = 1_767_323_045_000_000_000


@pytest.mark.parametrize(
    "entry",
    [
        {"LastModified": MOMENT},
        {"last_modified": MOMENT},
        {"mtime": MOMENT},
        {"mtime": MOMENT.replace(tzinfo=None)},
        {"mtime": MOMENT.timestamp()},
        {"mtime": "2026-01-02T03:04:05+00:00", "created": "2020-01-01T00:00:00Z"},
        {"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"},
        {"LastModified": None, "created": MOMENT},
    ],
)
def test_a_time_is_read_in_each_form_of_it(entry):
    """Datetimes, seconds, ISO and mail dates give the same nanoseconds."""
    assert found_object("a", {"size": 1, **entry}).mtime_ns == MOMENT_NS


@pytest.mark.parametrize("entry", [{}, {"mtime": "soon"}, {"mtime": True}, {"mtime": []}])
def test_a_time_that_makes_no_sense_is_unknown(entry):
    """A driver with a field of its own breaks nothing."""
    assert found_object("a", {"size": 1, **entry}).mtime_ns is None


@pytest.mark.parametrize(
    "entry",
    [
        {"ETag": '"abc"'},
        {"ETag": 'W/"abc"'},
        {"etag": "abc"},
        {"generation": "abc", "etag": "other"},
        {"ETag": "", "md5Hash": "abc"},
    ],
)
def test_a_mark_is_the_same_with_and_without_quotes(entry):
    """A listing and a look may write one etag in two ways."""
    assert found_object("a", {"size": 1, **entry}).mark == "abc"


def test_what_is_not_told_is_unknown():
    """No size is no zero, and a link is no file."""
    found = found_object("a", {"size": None, "type": "link"})

    assert (found.size, found.mark, found.is_file) == (None, "", False)

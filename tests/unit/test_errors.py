"""The tree of errors: its shape, its builtin bases, and that errors travel between processes."""

from __future__ import annotations

import inspect
import pickle

import pytest

import cas.errors
from cas.errors import (
    AlreadyExistsError,
    BackendError,
    CasError,
    ConflictError,
    CorruptionError,
    ErrorCode,
    IncompleteError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    UnsupportedError,
)

EXIT_CODES = {
    CasError: 1,
    InvalidInputError: 2,
    NotFoundError: 3,
    AlreadyExistsError: 4,
    ConflictError: 5,
    UnsupportedError: 6,
    BackendError: 7,
    CorruptionError: 8,
    IncompleteError: 9,
    RefusedError: 10,
}


def test_every_error_has_an_exit_code_of_its_own():
    """The classes of the module are exactly those listed here, each with its exit code."""
    classes = {
        member
        for _, member in inspect.getmembers(cas.errors, inspect.isclass)
        if issubclass(member, BaseException) and member.__module__ == "cas.errors"
    }

    assert {kind: kind.exit_code for kind in classes} == EXIT_CODES
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


def test_the_tree_is_one_level_deep():
    """Every error but the base derives from the base directly: a caller catches one class."""
    assert all(kind.__bases__[0] is CasError for kind in EXIT_CODES if kind is not CasError)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(NotFoundError, LookupError), (InvalidInputError, ValueError), (CasError, Exception)],
)
def test_errors_are_what_python_users_expect(kind, builtin):
    """A missing thing is a LookupError, a wrong argument a ValueError."""
    assert issubclass(kind, builtin)


def test_no_error_is_an_operating_system_error():
    """An OSError that reaches a user is about the user's own files, never about the store."""
    assert not any(issubclass(kind, OSError) for kind in EXIT_CODES)


def test_codes_are_unique_and_spelled_alike():
    """A script can match on a code: lower case, dashes, no two the same."""
    values = [code.value for code in ErrorCode.__members__.values()]

    assert len(set(values)) == len(values)
    assert [value for value in values if not value.replace("-", "").isalpha()] == []
    assert [code.name.lower().replace("_", "-") for code in ErrorCode] == values


@pytest.mark.parametrize("kind", EXIT_CODES)
def test_an_error_survives_pickling(kind):
    """Data-loader workers send errors home: message, code and hint arrive."""
    error = kind("chunk 3 is damaged", code=ErrorCode.DIGEST_MISMATCH, hint="cas verify")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert (str(copy), copy.code, copy.hint) == (
        "chunk 3 is damaged",
        ErrorCode.DIGEST_MISMATCH,
        "cas verify",
    )


def test_what_was_not_done_survives_pickling():
    """The list of problems travels with the error."""
    error = IncompleteError("2 files were not read", problems=("a: denied", "b: gone"))

    copy = pickle.loads(pickle.dumps(error))

    assert (copy.code, copy.problems) == (ErrorCode.INCOMPLETE, ("a: denied", "b: gone"))


def test_a_bare_error_is_internal_and_without_hint():
    """Only the message is needed."""
    error = CasError("this cannot be")

    assert (error.code, error.hint, str(error)) == (ErrorCode.INTERNAL, None, "this cannot be")

from __future__ import annotations

import errno

import click
import pytest

from cas.cli.failures import EXIT_CODES, Failure, error_document, exit_code_of, explain
from cas.cli.interrupt import InterruptedByUserError
from cas.errors import (
    BackendError,
    CasError,
    CorruptionError,
    ErrorCode,
    IncompleteError,
    NotFoundError,
)
from cas.model.progress import Cancelled


def all_errors(root: type[CasError]) -> list[type[CasError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors(CasError))
def test_every_error_ends_with_the_exit_code_of_its_class(kind):
    """The exit code is the class's, and it is one that help explains."""
    (failure,) = explain(kind("what", code=ErrorCode.BRAKE, hint="cas help"))

    assert failure == Failure(
        message="what", code="brake", hint="cas help", exit_code=kind.exit_code
    )
    assert failure.exit_code in EXIT_CODES


@pytest.mark.parametrize(
    ("number", "code", "exit_code"),
    [
        (errno.ENOENT, "path-not-found", 3),
        (errno.EEXIST, "target-exists", 4),
        (errno.EACCES, "access-denied", 7),
        (errno.ENOSPC, "disk-full", 7),
        (errno.EIO, "internal", 1),
    ],
)
def test_an_error_about_a_local_file_is_one_line(number, code, exit_code):
    """An OSError names the file and what is wrong with it."""
    (failure,) = explain(OSError(number, "Some reason", "data/a.bin"))

    assert (failure.message, failure.code, failure.exit_code) == (
        "data/a.bin: some reason",
        code,
        exit_code,
    )


def test_a_path_in_bytes_is_shown_as_text():
    """Errors of calls on bytes paths name the path, not its repr."""
    (failure,) = explain(FileNotFoundError(errno.ENOENT, "No such file", b"caf\xe9"))

    assert failure.message == "caf\udce9: no such file"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), Cancelled(), InterruptedByUserError("kept"), click.Abort()]
)
def test_every_kind_of_interrupt_exits_130(error):
    """However a command was stopped, the exit code is the shell's for Ctrl-C."""
    (failure,) = explain(error)

    assert (failure.exit_code, failure.code) == (130, "interrupted")


def test_what_was_not_done_is_listed():
    """The parts that an incomplete command left out reach the user and the document."""
    failures = explain(IncompleteError("2 files were not read", problems=("a: busy", "b: busy")))

    assert error_document(failures)["error"]["problems"] == ["a: busy", "b: busy"]
    assert exit_code_of(failures) == 9


def test_a_group_of_one_class_keeps_its_exit_code():
    """Several failures of one class exit as one of them does, different ones with 1."""
    same = explain(ExceptionGroup("two", [BackendError("a"), BackendError("b")]))
    mixed = explain(ExceptionGroup("two", [BackendError("a"), CorruptionError("b")]))

    assert (exit_code_of(same), exit_code_of(mixed)) == (7, 1)
    assert error_document(mixed)["error"] == {
        "code": "internal",
        "message": "a",
        "hint": None,
        "problems": ["b"],
    }


def test_a_bug_asks_for_a_report():
    """An unexpected error is one line that tells how to see more."""
    (failure,) = explain(ZeroDivisionError("division by zero"))

    assert failure.exit_code == 1
    assert "--debug" in (failure.hint or "")


def test_a_lookup_error_shows_its_message_without_quotes():
    """NotFoundError is a LookupError, whose text is the message as it was written."""
    (failure,) = explain(NotFoundError("no artifact 'bert'", code=ErrorCode.ARTIFACT_NOT_FOUND))

    assert failure.message == "no artifact 'bert'"

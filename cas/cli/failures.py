"""From an exception to what the user is told and the exit code. Pure."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import Any

import click

from cas.cli.interrupt import InterruptedByUserError
from cas.errors import CasError, ErrorCode, IncompleteError
from cas.model.progress import Cancelled
from cas.model.redaction import redact_text

INTERRUPTED_EXIT = 130
CLOSED_PIPE_EXIT = 141
USAGE_EXIT = 2

EXIT_CODES = {
    0: "done",
    1: "anything else",
    2: "an argument is wrong",
    3: "no such store, artifact, version, alias or path",
    4: "something stands there already",
    5: "somebody else was faster: look again, then retry",
    6: "not supported: upgrade cas, or take another backend",
    7: "the storage failed",
    8: "stored bytes are damaged",
    9: "a part was not done; it is listed, the rest is done",
    10: "refused by a safety brake",
    INTERRUPTED_EXIT: "interrupted",
    CLOSED_PIPE_EXIT: "the reader of the output went away",
}

# The user's own files: which error class of cas says the same.
_LOCAL = {
    errno.ENOENT: (ErrorCode.PATH_NOT_FOUND, 3),
    errno.ENOTDIR: (ErrorCode.PATH_NOT_FOUND, 3),
    errno.EEXIST: (ErrorCode.TARGET_EXISTS, 4),
    errno.ENOTEMPTY: (ErrorCode.TARGET_EXISTS, 4),
    errno.EISDIR: (ErrorCode.TARGET_EXISTS, 4),
    errno.EACCES: (ErrorCode.ACCESS_DENIED, 7),
    errno.EPERM: (ErrorCode.ACCESS_DENIED, 7),
    errno.EROFS: (ErrorCode.ACCESS_DENIED, 7),
    errno.ENOSPC: (ErrorCode.DISK_FULL, 7),
    errno.EDQUOT: (ErrorCode.DISK_FULL, 7),
}
_LOCAL_HINTS = {
    ErrorCode.PATH_NOT_FOUND: "check the path",
    ErrorCode.ACCESS_DENIED: "check who owns it and its permissions",
    ErrorCode.DISK_FULL: "make room, then run the same command again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What the user is told: one line, what helps, and parts of the work that were not done."""

    message: str
    code: str
    hint: str | None
    exit_code: int
    problems: tuple[str, ...] = ()


def explain(error: BaseException) -> list[Failure]:
    """Return what to tell about `error`: one failure, or one for each member of a group.

    What looks like a credential is hidden.
    """
    return [
        replace(
            failure,
            message=redact_text(failure.message),
            hint=failure.hint and redact_text(failure.hint),
            problems=tuple(map(redact_text, failure.problems)),
        )
        for failure in _explain(error)
    ]


def _explain(error: BaseException) -> list[Failure]:
    if isinstance(error, BaseExceptionGroup):
        return [failure for member in error.exceptions for failure in _explain(member)]
    if isinstance(error, CasError):
        problems = error.problems if isinstance(error, IncompleteError) else ()
        return [
            Failure(
                message=str(error.args[0]),
                code=error.code.value,
                hint=error.hint,
                exit_code=error.exit_code,
                problems=problems,
            )
        ]
    if isinstance(error, InterruptedByUserError | KeyboardInterrupt | Cancelled | click.Abort):
        message = str(error) or "interrupted"
        return [Failure(message=message, code="interrupted", hint=None, exit_code=INTERRUPTED_EXIT)]
    if isinstance(error, click.ClickException):
        return [_explain_usage(error)]
    if isinstance(error, OSError):
        return [_explain_local(error)]
    if isinstance(error, MemoryError):
        return [_internal("out of memory", hint="use fewer --jobs")]
    hint = "this is a bug in cas; run the command with --debug and report what it prints"
    return [_internal(f"{type(error).__name__}: {error}", hint=hint)]


def exit_code_of(failures: list[Failure]) -> int:
    """Return the exit code that all failures share, else 1."""
    codes = {failure.exit_code for failure in failures}
    return codes.pop() if len(codes) == 1 else 1


def error_document(failures: list[Failure]) -> dict[str, Any]:
    """Return the `--json` document of a command that failed: the first failure, and what else."""
    first, *others = failures
    problems = [*first.problems, *(failure.message for failure in others)]
    return {
        "error": {
            "code": first.code,
            "message": first.message,
            "hint": first.hint,
            "problems": problems,
        }
    }


def _explain_usage(error: click.ClickException) -> Failure:
    hint = None
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"{error.ctx.command_path} --help"
    return Failure(
        message=_as_clause(error.format_message()),
        code=ErrorCode.INVALID_OPTION.value,
        hint=hint,
        exit_code=USAGE_EXIT,
    )


def _explain_local(error: OSError) -> Failure:
    code, exit_code = _LOCAL.get(error.errno or 0, (ErrorCode.INTERNAL, 1))
    what = _as_clause(error.strerror or str(error) or type(error).__name__)
    name = error.filename
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return Failure(
        message=what if name is None else f"{name}: {what}",
        code=code.value,
        hint=_LOCAL_HINTS.get(code),
        exit_code=exit_code,
    )


def _internal(message: str, *, hint: str) -> Failure:
    return Failure(message=message, code=ErrorCode.INTERNAL.value, hint=hint, exit_code=1)


def _as_clause(text: str) -> str:
    """Return a sentence of another library as our messages are: no capital, no full stop."""
    text = text.strip().removesuffix(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text

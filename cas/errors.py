"""Every error that cas raises, arranged by what the caller can do about it.

Nothing else leaves the public API, except `KeyboardInterrupt`, `MemoryError`, programming errors
such as `TypeError`, and `OSError` about the caller's own local files.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """Stable names of failures, for scripts to match on. Only ever appended to."""

    INTERNAL = "internal"
    STORE_NOT_FOUND = "store-not-found"
    ARTIFACT_NOT_FOUND = "artifact-not-found"
    VERSION_NOT_FOUND = "version-not-found"
    ALIAS_NOT_FOUND = "alias-not-found"
    PATH_NOT_FOUND = "path-not-found"
    OBJECT_NOT_FOUND = "object-not-found"
    VERSION_DELETED = "version-deleted"
    STORE_EXISTS = "store-exists"
    OBJECT_EXISTS = "object-exists"
    TARGET_EXISTS = "target-exists"
    INVALID_NAME = "invalid-name"
    INVALID_REF = "invalid-ref"
    INVALID_OPTION = "invalid-option"
    INVALID_PATH = "invalid-path"
    INVALID_URL = "invalid-url"
    INVALID_CONFIG = "invalid-config"
    PARENT_MOVED = "parent-moved"
    LOST_RACE = "lost-race"
    UNSUPPORTED_FORMAT = "unsupported-format"
    UNSUPPORTED_FEATURE = "unsupported-feature"
    MISSING_EXTRA = "missing-extra"
    BACKEND_FAILED = "backend-failed"
    ACCESS_DENIED = "access-denied"
    DISK_FULL = "disk-full"
    DIGEST_MISMATCH = "digest-mismatch"
    MALFORMED_OBJECT = "malformed-object"
    MISSING_OBJECT = "missing-object"
    INCOMPLETE = "incomplete"
    SOURCE_CHANGED = "source-changed"
    BRAKE = "brake"
    NO_CREDENTIALS = "no-credentials"
    UNREACHABLE = "unreachable"
    THROTTLED = "throttled"
    STALLED = "stalled"
    MISSING_GUARANTEE = "missing-guarantee"
    MALFORMED_FILE = "malformed-file"


# What helps where bytes are damaged that another copy may hold.
REPAIR_HINT = "cas repair --from another copy, or the files, brings it back; or put the data again"


class CasError(Exception):
    """Base of all errors of cas.

    Attributes:
        code: what happened, stable, for scripts.
        hint: a command or an act that helps, or None.
        exit_code: what the `cas` tool exits with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, code: ErrorCode = ErrorCode.INTERNAL, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint

    # Exception pickles positional arguments only, and data-loader workers send errors home.
    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), code=self.code, hint=self.hint), self.args


class NotFoundError(CasError, LookupError):
    """Check the name: no such store, artifact, version, alias or path."""

    exit_code = 3


class AlreadyExistsError(CasError):
    """Choose another name: something stands there already."""

    exit_code = 4


class InvalidInputError(CasError, ValueError):
    """Fix the argument: a name, reference, option or path is not allowed."""

    exit_code = 2


class ConflictError(CasError):
    """Read again, then retry: somebody else was faster."""

    exit_code = 5


class UnsupportedError(CasError):
    """Upgrade cas or take another backend: a feature is unknown or missing here."""

    exit_code = 6


class BackendError(CasError):
    """Wait, or look at the storage: a request failed or its outcome is unknown."""

    exit_code = 7


class CorruptionError(CasError):
    """Verify, then repair: stored bytes are not what they must be."""

    exit_code = 8


class IncompleteError(CasError):
    """Look at what is listed and run again: a part was not done, the rest is.

    The parts that were not done stand in `problems`, one line each.
    """

    exit_code = 9

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode = ErrorCode.INCOMPLETE,
        hint: str | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild = partial(type(self), code=self.code, hint=self.hint, problems=self.problems)
        return rebuild, self.args


class RefusedError(CasError):
    """Read the plan, then override by its flag: a safety brake held."""

    exit_code = 10

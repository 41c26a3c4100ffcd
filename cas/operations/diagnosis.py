"""What an examination of a store finds: checks, each of one line, and the roles that are possible."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cas.backend.counting import RequestCounts
from cas.errors import CasError


class CheckState(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Role(StrEnum):
    """What somebody with these rights can do; see specs/roles.md."""

    READER = "reader"
    WRITER = "writer"
    COLLECTOR = "collector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: stable, for scripts.
        state: how it ended.
        text: what was found, in one line.
        hint: what to do about it, or None.
    """

    name: str
    state: CheckState
    text: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found.

    Attributes:
        url: the store, without credentials.
        checks: in the order in which they were made.
        roles: what these credentials suffice for, as far as it was tried.
        requests: what the checks of the store took; the clock and uploads are asked for beside it.
    """

    url: str
    checks: tuple[Check, ...]
    roles: tuple[Role, ...]
    requests: RequestCounts

    @property
    def is_healthy(self) -> bool:
        """Whether no check failed."""
        return all(check.state is not CheckState.FAILED for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnoseOptions:
    """How a store is examined.

    Attributes:
        read_only: write nothing to the store; rights to write are then not known.
        cache_dir: folder of the journal; None takes the user's cache folder.
        name: what the user calls the store, for commands in hints; empty for its URL.
        origin: how the store was named and is opened, to be told with its URL.
        warnings: of the settings files that were read.
    """

    read_only: bool = False
    cache_dir: str | None = None
    name: str = ""
    origin: str = ""
    warnings: tuple[str, ...] = ()


def passed(name: str, text: str, hint: str | None = None) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name=name, state=CheckState.OK, text=text, hint=hint)


def failed(name: str, text: str, hint: str | None = None) -> Check:
    """Return a check that found something wrong."""
    return Check(name=name, state=CheckState.FAILED, text=text, hint=hint)


def failed_by(name: str, error: CasError, hint: str | None = None) -> Check:
    """Return a check that ended with an error."""
    return failed(name, str(error.args[0]), error.hint or hint)


def skipped(name: str, text: str) -> Check:
    """Return a check that was not made."""
    return Check(name=name, state=CheckState.SKIPPED, text=text)


def all_skipped(names: Iterable[str], why: str) -> list[Check]:
    """Return checks that were not made, all for one reason."""
    return [skipped(name, why) for name in names]

"""`casdraft://<id>/path`: the drafts of this process by URL, for libraries that take nothing else.

The class is no filesystem: asked for one, it answers with the draft itself.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol

import fsspec
from fsspec import AbstractFileSystem

from cas.drafts.reading import PROTOCOL, strip_protocol
from cas.errors import ErrorCode, NotFoundError


class Running(Protocol):
    """A draft that runs: told of forks, so that a child can take part."""

    def begin_fork(self) -> None:
        """Let nobody act on it until the fork is over."""

    def end_fork(self, *, in_child: bool) -> None:
        """Go on."""


_RUNNING: weakref.WeakValueDictionary[str, Running] = weakref.WeakValueDictionary()


class DraftLink(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """What fsspec makes of a URL of a draft."""

    protocol = PROTOCOL
    root_marker = ""
    cachable = False

    def __new__(cls, draft: str = "", **_: Any) -> Any:
        """Return the running draft of that id.

        Raises:
            NotFoundError: there is none in this process.
        """
        found = _RUNNING.get(draft)
        if found is None:
            raise NotFoundError(
                f"there is no draft {draft!r} in this process",
                code=ErrorCode.PATH_NOT_FOUND,
                hint="a draft can be reached by its URL until it is committed, in the process that "
                "made it and those that it was handed to",
            )
        return found

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return strip_protocol(path)

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        return {"draft": path.removeprefix(f"{PROTOCOL}://").partition("/")[0]}


def announce(name: str, draft: Running) -> None:
    """Let a draft be found by its id."""
    fsspec.register_implementation(PROTOCOL, DraftLink, clobber=True)
    _RUNNING[name] = draft


def withdraw(name: str) -> None:
    """Let a draft no longer be found."""
    _RUNNING.pop(name, None)


def find_running(name: str) -> Running | None:
    """Return the draft of that id, if it runs here."""
    return _RUNNING.get(name)


def _begin_fork() -> None:
    for draft in list(_RUNNING.values()):
        draft.begin_fork()


def _end_fork(*, in_child: bool) -> None:
    for draft in list(_RUNNING.values()):
        draft.end_fork(in_child=in_child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_begin_fork,
        after_in_parent=lambda: _end_fork(in_child=False),
        after_in_child=lambda: _end_fork(in_child=True),
    )

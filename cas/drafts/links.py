"""`cas-draft://<id>/path`: the drafts of this process by URL, for libraries that take nothing else.

The class is no filesystem: asked for one, it answers with the draft itself.
"""

from __future__ import annotations

import weakref
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

from cas.drafts.reading import PROTOCOL, ReadingDraft, strip_protocol
from cas.errors import ErrorCode, NotFoundError

_RUNNING: weakref.WeakValueDictionary[str, ReadingDraft] = weakref.WeakValueDictionary()


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
                hint="a draft can be reached by its URL until it is committed, where it was made",
            )
        return found

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return strip_protocol(path)

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        return {"draft": path.removeprefix(f"{PROTOCOL}://").partition("/")[0]}


def announce(name: str, draft: ReadingDraft) -> None:
    """Let a draft be found by its id."""
    fsspec.register_implementation(PROTOCOL, DraftLink, clobber=True)
    _RUNNING[name] = draft


def withdraw(name: str) -> None:
    """Let a draft no longer be found."""
    _RUNNING.pop(name, None)

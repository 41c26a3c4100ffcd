"""What keeps a version, a file or a blob, as a chain of lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cas.cli.damage import warn_damaged
from cas.cli.render import Console, to_json
from cas.cli.text import escape, format_time
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas import Explanation
    from cas.operations.explain import ExplainedBlob, KeepingVersion

SHOWN_USERS = 5


def show_explanation(console: Console, found: Explanation) -> int:
    """Print the chain: what was asked about, then what keeps it, then what keeps that.

    Returns:
        The exit code: 8 if something that may keep it is damaged.
    """
    _show_chain(console, found)
    return warn_damaged(console, found.damaged, f"so it may speak for {escape(found.text)}, too")


def _show_chain(console: Console, found: Explanation) -> None:
    if console.as_json:
        blobs = [{**to_json(blob), "is_kept": blob.is_kept} for blob in found.blobs]
        console.document({**to_json(found), "blobs": blobs})
        return
    if found.version is not None and not found.blobs:
        for line in _version_lines(found.version):
            console.answer(line)
        return
    if found.version is not None:
        count = format_count(len(found.blobs), "blob")
        console.answer(f"{escape(found.text)}  lies in {count}")
    for blob in found.blobs:
        for line in _blob_lines(blob, is_all_known=not found.damaged):
            console.answer(line)


def _blob_lines(blob: ExplainedBlob, *, is_all_known: bool) -> Iterator[str]:
    size = "is missing" if blob.size is None else format_size(blob.size)
    yield f"{blob.key}  {size}"
    for version in blob.versions:
        first, *others = _version_lines(version)
        yield f"  needed by {first}"
        for path in version.paths:
            yield f"      holds bytes of {escape(path)}"
        if version.more_paths:
            yield f"      and of {format_count(version.more_paths, 'other file')}"
        for line in others:
            yield f"    {line}"
    for session in blob.sessions:
        yield f"  announced by session {session}: a put or a reader at work, or one that died"
    for session in blob.unreadable:
        yield f"  session {session} cannot be read: while it is there, cas gc deletes nothing"
    if not is_all_known:
        yield "  versions that are damaged may need it: while they are there, cas gc deletes nothing"
    elif not blob.is_kept and not blob.unreadable and blob.size is not None:
        when = "" if blob.due_ns is None else f", from {format_time(blob.due_ns)} on"
        yield f"  nothing keeps it: the next cas gc --apply deletes it{when}"


def _version_lines(version: KeepingVersion) -> list[str]:
    ref = f"{version.artifact}:v{version.number}"
    states = {
        "live": "is kept: nobody deleted it",
        "trashed": "is in the trash, which keeps what it needs",
        "purged": "was deleted for good: nothing is kept for it",
        "unknown": "is kept: nobody knows any more whether it was restored or deleted for good",
    }
    lines = [f"{ref}  {states[version.state.value]}"]
    if version.purge_ns is not None:
        when = format_time(version.purge_ns)
        lines.append(f"  a collection deletes it for good from {when} on; cas restore {ref} before")
    for alias in version.aliases:
        mark = "protected alias" if alias in version.protected else "alias"
        lines.append(f"  {mark} {escape(alias)} points to it")
    lines += [f"  {user} was made from it" for user in version.users[:SHOWN_USERS]]
    if version.users[SHOWN_USERS:]:
        more = format_count(len(version.users) - SHOWN_USERS, "other version")
        lines.append(f"  and {more}")
    if version.expires_ns is not None:
        stays = ", unless that still keeps it" if version.aliases or version.users else ""
        when = format_time(version.expires_ns)
        lines.append(f"  a collection moves it to the trash from {when} on{stays}")
    return lines

"""Who made a version: command, git commit, host, user, Python. No secrets, nothing slow."""

from __future__ import annotations

import getpass
import platform
import re
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

GIT_SECONDS = 2.0
MAXIMUM_COMMAND_BYTES = 2048
HIDDEN = "***"

_SECRET = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|credential|auth|"
    r"private[_-]?key|signature|sas|session[_-]?key)",
    re.IGNORECASE,
)


def find_provenance(command: Sequence[str] | None) -> dict[str, Any]:
    """Return what is known of the producer; what cannot be found out is left out."""
    producer: dict[str, Any] = {"python": platform.python_version()}
    with suppress(OSError):
        producer["host"] = socket.gethostname()[:255]
    # getpass looks into the environment and the user database; neither need know this user.
    with suppress(OSError, KeyError, ImportError):
        producer["user"] = getpass.getuser()[:255]
    if command:
        producer["command"] = hide_secrets(command)
    producer.update(_git_state())
    return producer


def hide_secrets(command: Sequence[str]) -> list[str]:
    """Return a command line without the values of what looks like a secret.

    Hidden are values of options and assignments whose name speaks of passwords, tokens or keys,
    and the user part and query of URLs.
    """
    shown: list[str] = []
    hide_next = False
    size = 0
    for word in command:
        option, equals, _ = word.partition("=")
        if hide_next and not word.startswith("-"):
            text = HIDDEN
        elif equals and _SECRET.search(option):
            text = f"{option}={HIDDEN}"
        else:
            text = _hide_in_url(word)
        hide_next = not equals and word.startswith("-") and bool(_SECRET.search(word))
        size += len(text)
        if size > MAXIMUM_COMMAND_BYTES:
            return [*shown, "..."]
        shown.append(text)
    return shown


def _hide_in_url(word: str) -> str:
    head, equals, tail = (
        word.partition("=") if "://" not in word.split("=", maxsplit=1)[0] else ("", "", word)
    )
    if "://" not in tail and "://" not in word:
        return word
    try:
        url = urlsplit(tail if equals else word)
    except ValueError:
        return HIDDEN
    netloc = url.netloc.rpartition("@")[2]
    clean = urlunsplit((url.scheme, netloc, url.path, "", ""))
    return f"{head}{equals}{clean}" if equals else clean


def _git_state() -> dict[str, Any]:
    """The commit of the working folder's repository, and whether tracked files differ from it."""
    folder = Path.cwd()
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return {}
    commit = _git("rev-parse", "HEAD")
    if commit is None or commit.returncode != 0:
        return {}
    state: dict[str, Any] = {"git_commit": commit.stdout.strip()[:64]}
    diff = _git("diff", "--quiet", "--no-ext-diff", "HEAD")
    if diff is not None and diff.returncode in (0, 1):
        state["git_dirty"] = diff.returncode == 1
    return state


def _git(*words: str) -> subprocess.CompletedProcess[str] | None:
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(  # noqa: S603 - fixed words
            ["git", *words],  # noqa: S607 - the user's own git, found as the user's shell does
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    return None

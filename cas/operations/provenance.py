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

GIT_SECONDS = 2.0
MAXIMUM_COMMAND_BYTES = 2048
HIDDEN = "***"

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<netloc>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)
_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|bearer|cookie|api[_-]?key|access[_-]?key|"
    r"account[_-]?key|credential|auth|private[_-]?key|signature|sas|session[_-]?key|"
    r"connection[_-]?string)"
)
_SECRET = re.compile(_NAMES, re.IGNORECASE)
# Values that are named in the same word: `DB_PASSWORD=x`, `Api-Key: x`, `{"token":"x"}`, and headers
# of HTTP even without a space. A colon alone is not enough: `auth-model:v3` is an artifact.
_NAMED = re.compile(
    rf"""{_NAMES}[\w.-]*["']?\s*=\s*|{_NAMES}[\w-]*(?:["']\s*:\s*|:\s+|:(?=["']))|"""
    r"""\b(?:(?:proxy-)?authorization|(?:set-)?cookie|x-[\w-]*(?:key|token|auth)):""",
    re.IGNORECASE,
)

# What a driver is told: it may be a secret by any name, and never says what the version is.
_DRIVER_OPTION = "--source-option"


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

    Hidden are values of options, assignments and headers whose name speaks of passwords, tokens
    or keys, all options of drivers, and the user part and query of URLs.
    """
    shown: list[str] = []
    hide_next = False
    size = 0
    for word in command:
        text = HIDDEN
        if not hide_next or word.startswith("-"):
            text = _URL.sub(_hide_in_url, word)
            if word.startswith(f"{_DRIVER_OPTION}="):
                text = f"{_DRIVER_OPTION}={HIDDEN}"
            elif named := _NAMED.search(text):
                text = text[: named.end()] + HIDDEN
        is_option = word.startswith("-") and "=" not in word
        hide_next = is_option and (word == _DRIVER_OPTION or bool(_SECRET.search(word)))
        size += len(text)
        if size > MAXIMUM_COMMAND_BYTES:
            return [*shown, "..."]
        shown.append(text)
    return shown


def _hide_in_url(url: re.Match[str]) -> str:
    scheme, netloc, path = url["scheme"], url["netloc"], url["path"]
    host, colon, port = netloc.rpartition("@")[2].partition(":")
    if colon and not port.isdigit() and "@" not in netloc:
        # A secret with a slash in it: nothing says where it ends.
        return f"{scheme}{HIDDEN}"
    return f"{scheme}{host}{colon}{port}{path}"


def _git_state() -> dict[str, Any]:
    """The commit of the working folder's repository, and whether tracked files differ from it."""
    try:
        folder = Path.cwd()
    except OSError:
        return {}  # somebody removed the working folder
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

"""What may be a secret, and how text and options look without it.

Options are shown by a list of what is known to be harmless, so that a setting nobody thought of is
hidden. Text that comes from elsewhere, such as a driver's exception, loses what looks like a
credential, and the values of the credentials that this process was given.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

HIDDEN = "***"

_TELLING_WORDS = (
    r"pass(?:word|wd|phrase)|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|credential|"
    r"private[_-]?key|signature|session[_-]?key|connection[_-]?string|\bsas"
)
_SECRET_NAME = re.compile(rf"^(?:key|sig|sas|pwd)$|{_TELLING_WORDS}", re.IGNORECASE)
# gcsfs takes names of methods and of files where others take the secret itself.
_TOKEN_METHODS = frozenset({"anon", "google_default", "cloud", "cache", "browser"})
_NAMES_FILE = re.compile(r"token|credentials|.*(_file|_credentials)", re.IGNORECASE)
_FILE_NAME = re.compile(r"[~./]|[A-Za-z]:[\\/]|.*\.json$")

# Options whose values nobody minds; whatever is not here and not a flag or a number is hidden.
_HARMLESS = frozenset(
    {
        "profile", "endpoint_url", "region_name", "anon", "requester_pays", "ServerSideEncryption",
        "SSEKMSKeyId", "ACL", "StorageClass", "addressing_style", "signature_version", "verify",
        "project", "default_location", "access", "account_name", "account_host", "tenant_id",
        "username", "host", "port", "key_filename", "mode", "cache_regions", "use_ssl",
    }
)  # fmt: skip

# The query of a URL may be a signature that opens the store.
_URL_QUERY = re.compile(r"(\w+://[^\s?'\"<>]*)\?[^\s'\"<>]*")
_URL_PARTS = re.compile(r"\w[\w+.-]*://(?:(?P<user>[^/]*)@)?[^?]*(?:\?(?P<query>.*))?", re.DOTALL)
# In `cas://name@v3` it is the artifact that stands there.
_URL_USER = re.compile(r"(\b(?!cas(?:draft)?://)\w+://)[^\s/@'\"<>]*@")
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|x-amz-security-token|cookie)\b(['\"]?\s*[:=]\s*b?['\"]?)"
    r"[^\r\n'\"]+"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w+/.~=-]{8,}")
_ASSIGNED = re.compile(
    rf"(?i)([\w-]*(?:{_TELLING_WORDS})[\w-]*['\"]?\s*[:=]\s*)(b?['\"])?[^\s,;'\"&)}}\]]+"
)

# Shorter values are words such as `test`, and hiding them would make riddles of messages.
_MINIMUM_LENGTH = 8
_MAXIMUM_REMEMBERED = 256
_remembered: dict[str, None] = {}
_lock = threading.Lock()


def is_secret(name: str, value: object) -> bool:
    """Tell whether an option of this name holds a credential."""
    if not value or isinstance(value, bool | int | float) or name in _HARMLESS:
        return False
    if not _SECRET_NAME.search(name):
        return False
    if not isinstance(value, str):
        return True
    names_file = _NAMES_FILE.fullmatch(name) is not None and _FILE_NAME.match(value) is not None
    return value not in _TOKEN_METHODS and not names_file


def secret_names(options: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of the options that hold credentials, in order."""
    found: list[str] = []
    for name, value in options.items():
        if is_secret(name, value):
            found.append(name)
        elif isinstance(value, Mapping):
            found += [f"{name}.{inner}" for inner in secret_names(value)]
    return found


def show_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they may be shown: what is not known to be harmless is `***`."""
    return {name: _show_option(name, value) for name, value in options.items()}


def remember_secrets(options: Mapping[str, Any]) -> None:
    """Have `redact_text` hide the credentials among these options from now on."""
    with _lock:
        for value in _iter_secrets(options):
            if len(value) >= _MINIMUM_LENGTH:
                _remembered.pop(value, None)
                _remembered[value] = None
        while len(_remembered) > _MAXIMUM_REMEMBERED:  # tokens are renewed for ever
            del _remembered[next(iter(_remembered))]


def remember_url(url: str) -> None:
    """Have `redact_text` hide user and password of this URL, and the values in its query.

    Drivers quote them without the rest that would give them away. Without a password the user part
    is a name, or Azure's container.
    """
    found = _URL_PARTS.fullmatch(url)
    if found is None:
        return
    user, colon, password = (found["user"] or "").partition(":")
    parts = [f"{user}:{password}", password] if colon else []
    parts += [
        value for _, _, value in (p.partition("=") for p in (found["query"] or "").split("&"))
    ]
    remember_secrets({"secret": {f"secret-{number}": part for number, part in enumerate(parts)}})


def redact_text(text: str) -> str:
    """Return `text` without what looks like a credential.

    Gone are the user part and the query of every URL, the values of authorization headers and of
    assignments to names that speak of secrets, and every value that `remember_secrets` was given.
    """
    with _lock:
        remembered = list(_remembered)
    for secret in remembered:
        text = text.replace(secret, HIDDEN)
    text = _URL_USER.sub(r"\1", _URL_QUERY.sub(r"\1", text))
    text = _BEARER.sub(rf"\1 {HIDDEN}", _HEADER.sub(rf"\1\2{HIDDEN}", text))
    return _ASSIGNED.sub(lambda found: f"{found[1]}{found[2] or ''}{HIDDEN}", text)


def _show_option(name: str, value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, Mapping) and not is_secret(name, value):
        return show_options(value)
    if isinstance(value, str):
        is_pointer = _SECRET_NAME.search(name) is not None and not is_secret(name, value)
        if name in _HARMLESS or is_pointer:
            return redact_text(value)
    return HIDDEN


def _iter_secrets(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _leaves(value) if is_secret(name, value) else _iter_secrets(value)
        elif is_secret(name, value):
            yield str(value)


def _leaves(value: Mapping[str, Any]) -> Iterator[str]:
    # A service account's key file as a table: the secret is one of its texts.
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner)
        elif isinstance(inner, str) and is_secret(name, inner):
            yield inner

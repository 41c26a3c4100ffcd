"""From settings in a user's words to the arguments of fsspec's drivers. Imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cas.errors import ErrorCode, InvalidInputError

S3_SCHEMES = frozenset({"s3", "s3a"})
GCS_SCHEMES = frozenset({"gs", "gcs"})
AZURE_SCHEMES = frozenset({"az", "abfs", "abfss"})
SFTP_SCHEMES = frozenset({"sftp", "ssh"})

_Kinds = tuple[type, ...]
_TEXT: _Kinds = (str,)
_FLAG: _Kinds = (bool,)
_NUMBER: _Kinds = (int, float)


@dataclass(frozen=True, slots=True)
class _Setting:
    """Where a setting goes among a driver's arguments, and what it may be."""

    path: tuple[str, ...]
    kinds: _Kinds = _TEXT


_S3 = {
    "profile": _Setting(("profile",)),
    "endpoint": _Setting(("endpoint_url",)),
    "region": _Setting(("client_kwargs", "region_name")),
    "key": _Setting(("key",)),
    "secret": _Setting(("secret",)),
    "token": _Setting(("token",)),
    "anonymous": _Setting(("anon",), _FLAG),
    "requester_pays": _Setting(("requester_pays",), _FLAG),
    "sse": _Setting(("s3_additional_kwargs", "ServerSideEncryption")),
    "kms_key_id": _Setting(("s3_additional_kwargs", "SSEKMSKeyId")),
    "acl": _Setting(("s3_additional_kwargs", "ACL")),
    "storage_class": _Setting(("s3_additional_kwargs", "StorageClass")),
    "addressing": _Setting(("config_kwargs", "s3", "addressing_style")),
    "ca_bundle": _Setting(("client_kwargs", "verify")),
    "verify_tls": _Setting(("client_kwargs", "verify"), _FLAG),
    "connect_seconds": _Setting(("config_kwargs", "connect_timeout"), _NUMBER),
    "read_seconds": _Setting(("config_kwargs", "read_timeout"), _NUMBER),
}
_GCS = {
    "project": _Setting(("project",)),
    "token": _Setting(("token",), (str, dict)),
    "credentials": _Setting(("token",)),
    "anonymous": _Setting(("token",), _FLAG),
    "endpoint": _Setting(("endpoint_url",)),
    "requester_pays": _Setting(("requester_pays",), (bool, str)),
}
_AZURE = {
    "account": _Setting(("account_name",)),
    "key": _Setting(("account_key",)),
    "connection_string": _Setting(("connection_string",)),
    "sas_token": _Setting(("sas_token",)),
    "tenant_id": _Setting(("tenant_id",)),
    "client_id": _Setting(("client_id",)),
    "client_secret": _Setting(("client_secret",)),
    "anonymous": _Setting(("anon",), _FLAG),
    "host": _Setting(("account_host",)),
    "connect_seconds": _Setting(("connection_timeout",), _NUMBER),
    "read_seconds": _Setting(("read_timeout",), _NUMBER),
}
_SFTP = {
    "username": _Setting(("username",)),
    "password": _Setting(("password",)),
    "port": _Setting(("port",), (int,)),
    "key_file": _Setting(("key_filename",)),
    "passphrase": _Setting(("passphrase",)),
    "connect_seconds": _Setting(("timeout",), _NUMBER),
}
_SETTINGS = (
    dict.fromkeys(S3_SCHEMES, _S3)
    | dict.fromkeys(GCS_SCHEMES, _GCS)
    | dict.fromkeys(AZURE_SCHEMES, _AZURE)
    | dict.fromkeys(SFTP_SCHEMES, _SFTP)
)
_KMS = "aws:kms"


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case; `file` for a path."""
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator else "file"


def known_settings(url: str) -> tuple[str, ...]:
    """Return the names that `as_driver_options` takes for this URL."""
    return tuple(_SETTINGS.get(scheme_of(url), {}))


def as_driver_options(
    url: str, settings: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the driver's arguments for settings in a user's words, on top of its own `options`.

    Raises:
        InvalidInputError: a value is of the wrong kind, or two settings contradict each other
            (INVALID_CONFIG). Every name must be one of `known_settings`.
    """
    known = _SETTINGS.get(scheme_of(url), {})
    made = _copy(options)
    for name, value in settings.items():
        setting = known[name]
        _check_kind(name, value, setting.kinds)
        if name == "anonymous" and setting.path == ("token",):
            if not value:
                continue
            value = "anon"
        _place(made, setting.path, value, name)
    encryption = made.get("s3_additional_kwargs", {})
    if "SSEKMSKeyId" in encryption:
        encryption.setdefault("ServerSideEncryption", _KMS)
    return made


def merge_options(defaults: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return `options` with what they leave open taken from `defaults`, at any depth."""
    merged = _copy(options)
    for name, value in defaults.items():
        if isinstance(value, Mapping) and isinstance(merged.get(name, {}), Mapping):
            merged[name] = merge_options(value, merged.get(name) or {})
        else:
            merged.setdefault(name, value)
    return merged


def _check_kind(name: str, value: object, kinds: _Kinds) -> None:
    # bool is an int, but `port = true` is a mistake.
    is_right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
    if not is_right or value == "":
        wanted = " or ".join(
            {str: "text", bool: "true or false", int: "a number", dict: "a table"}[kind]
            for kind in kinds
            if kind is not float
        )
        raise InvalidInputError(f"{name} must be {wanted}", code=ErrorCode.INVALID_CONFIG)


def _place(options: dict[str, Any], path: tuple[str, ...], value: object, name: str) -> None:
    *folders, last = path
    for folder in folders:
        options = options.setdefault(folder, {})
    if last in options and options[last] != value:
        raise InvalidInputError(
            f"{name} contradicts another setting of {last}", code=ErrorCode.INVALID_CONFIG
        )
    options[last] = value


def _copy(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _copy(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
    }

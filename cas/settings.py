"""Where the store and local files are: arguments, variables, `cas.toml`, the user's file, defaults.

The caller passes the environment in; nothing here reads `os.environ`.

A settings file, `cas.toml` in a project or `config.toml` of the user, looks like this::

    store = "main"                      # a URL, a folder, or the name of a table below

    remote = "prod"                     # likewise: where `cas push` and `cas pull` go

    [stores.main]
    url = "s3://bucket/prefix"
    endpoint = "https://minio.example"  # settings in cas's words, see specs/settings.md
    options = { cache_regions = true }  # anything else that the fsspec driver takes

Credentials do not belong there: drivers find them where their users expect them. They work there,
with a warning.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cas.backend.driver_options import as_driver_options, known_settings, scheme_of
from cas.errors import ErrorCode, InvalidInputError
from cas.model.redaction import HIDDEN, redact_text, secret_names
from cas.model.units import format_some

PROJECT_FILE = "cas.toml"
STORE_VARIABLE = "CAS_STORE"
HOME_VARIABLE = "CAS_HOME"
CACHE_FOLDER_VARIABLE = "CAS_CACHE_DIR"

# Of a table of a store: what is not a setting of its driver.
_OWN = ("url", "options", "remote", "cache")
_FILE_SETTINGS = frozenset({"credentials", "key_file", "ca_bundle"})
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
_ONE_SLASH = re.compile(r"\w[\w+.-]+:/")
_USER_IN_URL = re.compile(r"\w+://[^/@:]*:[^/]*@")
_VARIABLES = {
    "s3": ("AWS_",),
    "s3a": ("AWS_",),
    "gs": ("GOOGLE_", "GCSFS_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST"),
    "gcs": ("GOOGLE_", "GCSFS_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST"),
    "az": ("AZURE_",),
    "abfs": ("AZURE_",),
    "abfss": ("AZURE_",),
}
_HARMLESS_VARIABLES = re.compile(
    r".*(PROFILE|REGION|ENDPOINT\w*|PROJECT|CONFIG_FILE|CREDENTIALS_FILE|EMULATOR_HOST"
    r"|ACCOUNT_NAME|\w+_DISABLED|APPLICATION_CREDENTIALS|CA_BUNDLE|TENANT_ID)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreChoice:
    """The store in force and why.

    Attributes:
        url: URL of the store, or an absolute path.
        source: `argument`, `CAS_STORE`, `cas.toml`, `user config` or `default`.
        origin: the variable, option or file that decided.
        name: the name in a settings file under which the URL stands, or None.
        storage_options: arguments for the fsspec driver.
        warnings: what the user should know about the settings files that were read.
        use_cache: what the settings file says of keeping this store's data on this machine.
        other_names: where no such name was given, the names in settings files, which may be meant.
    """

    url: str
    source: str
    origin: str
    name: str | None = None
    # Not in the representation, which ends up in logs: it may hold credentials.
    storage_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    use_cache: bool | None = None


@dataclass(frozen=True, slots=True)
class _SettingsFile:
    """What one settings file says: the store in force, stores by name, and where credentials stand."""

    path: Path
    store: str | None
    stores: Mapping[str, _NamedStore]
    credentials: tuple[str, ...]
    remote: str | None = None
    cache_size: str | None = None


@dataclass(frozen=True, slots=True)
class _NamedStore:
    url: str
    options: Mapping[str, Any]
    remote: str | None = None
    use_cache: bool | None = None


def find_store(explicit: str | None, *, environ: Mapping[str, str], cwd: Path) -> StoreChoice:
    """Return the store in force: `explicit`, else `CAS_STORE`, `cas.toml`, user's file, default.

    `explicit` and `CAS_STORE` may be a URL, a folder, or a name that a settings file defines; a
    folder that is called like such a name is written `./name`. Paths in a settings file are
    relative to that file.

    Raises:
        InvalidInputError: a settings file is malformed or holds an unknown setting.
    """
    project = _read(find_project_file(cwd))
    user = _read(config_file(environ))
    choice = _choose(explicit, project, user, environ=environ, cwd=cwd)
    return replace(choice, warnings=_warnings(project, user))


def _choose(
    explicit: str | None,
    project: _SettingsFile | None,
    user: _SettingsFile | None,
    *,
    environ: Mapping[str, str],
    cwd: Path,
) -> StoreChoice:
    files = [file for file in (project, user) if file is not None]
    if explicit:
        return _resolve(explicit, "argument", "--store", base=cwd, files=files)
    if variable := environ.get(STORE_VARIABLE):
        return _resolve(variable, "CAS_STORE", STORE_VARIABLE, base=cwd, files=files)
    for file, source in ((project, "cas.toml"), (user, "user config")):
        if file is not None and file.store is not None:
            origin = str(file.path)
            return _resolve(file.store, source, origin, base=file.path.parent, files=files)
    folder = home_folder(environ) / "store"
    return StoreChoice(url=str(folder), source="default", origin="no store was named")


def find_remote(store: StoreChoice, *, environ: Mapping[str, str], cwd: Path) -> StoreChoice | None:
    """Return the remote of a store: what its own table says, else `remote` in `cas.toml`, else in
    the user's file; None if there is none.

    Raises:
        InvalidInputError: a settings file is malformed or holds an unknown setting.
    """
    project, user = _read(find_project_file(cwd)), _read(config_file(environ))
    files = [file for file in (project, user) if file is not None]
    tables = [(file, file.stores.get(store.name or "")) for file in files]
    named = [(file, table.remote) for file, table in tables if table is not None]
    for file, remote in (*named[:1], *((file, file.remote) for file in files)):
        if remote is not None:
            source = "cas.toml" if file is project else "user config"
            return _resolve(remote, source, str(file.path), base=file.path.parent, files=files)
    return None


def find_project_file(cwd: Path) -> Path | None:
    """Return the nearest `cas.toml` in `cwd` or above it."""
    for folder in (cwd, *cwd.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder / PROJECT_FILE
    return None


def config_file(environ: Mapping[str, str]) -> Path:
    """Return where the user's settings stand, whether or not the file exists."""
    if home := environ.get(HOME_VARIABLE):
        return Path(home).absolute() / "config.toml"
    from platformdirs import user_config_dir  # 8 ms that `cas --help` need not spend

    return Path(user_config_dir("cas", appauthor=False)) / "config.toml"


def user_cache_size(environ: Mapping[str, str]) -> str | None:
    """Return `cache_size` of the user's settings file, as it stands there.

    Raises:
        InvalidInputError: the file is malformed or holds an unknown setting.
    """
    user = _read(config_file(environ))
    return None if user is None else user.cache_size


def home_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder that holds the default store."""
    if home := environ.get(HOME_VARIABLE):
        return Path(home).absolute()
    from platformdirs import user_data_dir  # as above

    return Path(user_data_dir("cas", appauthor=False))


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of journals and caches; it may be deleted at any time."""
    if folder := environ.get(CACHE_FOLDER_VARIABLE):
        return Path(folder).absolute()
    if home := environ.get(HOME_VARIABLE):
        return Path(home).absolute() / "cache"
    from platformdirs import user_cache_dir  # as above

    return Path(user_cache_dir("cas", appauthor=False))


def redact(url: str) -> str:
    """Return `url` without what may be a secret, for people to read."""
    from cas.backend.open import redact_url  # 20 ms that a command without errors need not spend

    return redact_url(url)


def driver_variables(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the driver for `url` reads, with credentials hidden."""
    prefixes = _VARIABLES.get(scheme_of(url), ())
    return {
        name: redact_text(value) if _HARMLESS_VARIABLES.fullmatch(name) else HIDDEN
        for name, value in sorted(environ.items())
        if value and name.startswith(prefixes)
    }


def _warnings(project: _SettingsFile | None, user: _SettingsFile | None) -> tuple[str, ...]:
    warnings = []
    if project is not None and project.credentials:
        warnings.append(
            f"{project.path} holds credentials ({format_some(project.credentials)}): a project's file is "
            "shared; leave them to the environment or to the driver's own files"
        )
    if user is not None and user.credentials and _is_readable_by_others(user.path):
        warnings.append(
            f"{user.path} holds credentials ({format_some(user.credentials)}) and others can read it: "
            f"chmod 600 {user.path}"
        )
    return tuple(warnings)


def _is_readable_by_others(path: Path) -> bool:
    return os.name == "posix" and bool(path.stat().st_mode & _READABLE_BY_OTHERS)


def _resolve(
    text: str, source: str, origin: str, *, base: Path, files: list[_SettingsFile]
) -> StoreChoice:
    for file in files:
        if named := file.stores.get(text):
            return StoreChoice(
                url=_absolute(named.url, file.path.parent),
                source=source,
                origin=origin,
                name=text,
                storage_options=named.options,
                use_cache=named.use_cache,
            )
    names = tuple(name for file in files for name in file.stores)
    return StoreChoice(url=_absolute(text, base), source=source, origin=origin, other_names=names)


def _absolute(url: str, base: Path) -> str:
    if "://" in url:
        return url
    if _ONE_SLASH.match(url):
        from cas.backend.open import refuse_misspelt  # 20 ms that only a mistake need spend

        refuse_misspelt(url)
    return str((base / Path(url).expanduser()).absolute())


def _read(path: Path | None) -> _SettingsFile | None:
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _malformed(path, str(error)) from error
    own = ("cache_size",) if path.name != PROJECT_FILE else ()
    _check_names(path, document, ("store", "stores", "remote", *own), "")
    cache_size = document.get("cache_size")
    if cache_size is not None and (
        isinstance(cache_size, bool) or not isinstance(cache_size, int | str)
    ):
        raise _malformed(path, 'cache_size must be a size such as "20GB"')
    store = document.get("store")
    if store is not None and not (isinstance(store, str) and store):
        raise _malformed(path, "store must be a URL, a folder or a name")
    remote = _read_remote(path, document, "")
    tables = document.get("stores", {})
    if not isinstance(tables, dict):
        raise _malformed(path, "stores must hold tables such as [stores.main]")
    stores = {name: _named_store(path, name, table) for name, table in tables.items()}
    credentials = [
        f"stores.{name}.{key}" for name, table in tables.items() for key in _credentials(table)
    ]
    size = None if cache_size is None else str(cache_size)
    return _SettingsFile(path, store, stores, tuple(credentials), remote, size)


def _credentials(table: Mapping[str, Any]) -> list[str]:
    in_url = ["url"] if _USER_IN_URL.match(table["url"]) else []
    return in_url + secret_names(table)


def _named_store(path: Path, name: str, table: object) -> _NamedStore:
    if not isinstance(table, dict):
        raise _malformed(path, f"stores.{name} must be a table with a url")
    url, options = table.get("url"), table.get("options", {})
    if not (isinstance(url, str) and url):
        raise _malformed(path, f"stores.{name}.url must be a URL or a folder")
    _check_names(path, table, (*_OWN, *known_settings(url)), f"stores.{name}.")
    if not isinstance(options, dict):
        raise _malformed(path, f"stores.{name}.options must be a table")
    if options and scheme_of(url) in ("file", "local"):
        raise _malformed(path, f"stores.{name} is a folder, which takes no options")
    settings = {key: value for key, value in table.items() if key not in _OWN}
    for key in _FILE_SETTINGS.intersection(settings):
        if isinstance(settings[key], str):
            settings[key] = _absolute(settings[key], path.parent)
    try:
        made = as_driver_options(url, settings, options)
    except InvalidInputError as error:
        raise _malformed(path, f"stores.{name}.{error}") from error
    use_cache = table.get("cache")
    if not (use_cache is None or isinstance(use_cache, bool)):
        raise _malformed(path, f"stores.{name}.cache must be true or false")
    return _NamedStore(url, made, _read_remote(path, table, f"stores.{name}."), use_cache)


def _read_remote(path: Path, table: dict[str, Any], where: str) -> str | None:
    remote = table.get("remote")
    if remote is None or (isinstance(remote, str) and remote):
        return remote
    raise _malformed(path, f"{where}remote must be a URL, a folder or a name")


def _check_names(path: Path, table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    # Refused, not skipped: a misspelt `store` would send data to another place.
    for name in table:
        if name not in known:
            import difflib  # only a mistake needs it

            near = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise _malformed(path, f"unknown setting {where}{name}{meant}")


def _malformed(path: Path, what: str) -> InvalidInputError:
    return InvalidInputError(f"{path}: {what}", code=ErrorCode.INVALID_CONFIG, hint=f"edit {path}")

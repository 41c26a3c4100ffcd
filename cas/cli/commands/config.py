"""`cas config`: which store and folders are in force, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cas.cli.invocation import Invocation
from cas.cli.text import escape
from cas.cli.verb import verb

if TYPE_CHECKING:
    from cas.settings import StoreChoice

EXAMPLES = """
cas config
cas config --store main --json
"""


@verb("config", examples=EXAMPLES, exit_codes=())
def command(cli: Invocation) -> None:
    """Show which store is in force and why, its remote, and where settings and caches are.

    The store is named by --store, then CAS_STORE, then a cas.toml here or above, then the user's
    settings file; else it is the default one. CAS_HOME moves every local folder. Credentials
    among options and variables are hidden.
    """
    from cas import settings  # not needed for --help

    remote = settings.find_remote(cli.choice, environ=cli.environ, cwd=cli.cwd)
    project = settings.find_project_file(cli.cwd)
    user = settings.config_file(cli.environ)
    document: dict[str, Any] = {
        "store": _facts_of(cli.choice, cli.environ),
        "remote": None if remote is None else _facts_of(remote, cli.environ),
        "project_file": None if project is None else str(project),
        "user_file": str(user),
        "user_file_exists": user.is_file(),
        "home_folder": str(settings.home_folder(cli.environ)),
        "cache_folder": str(settings.cache_folder(cli.environ)),
    }
    if cli.console.as_json:
        cli.console.document(document)
        return
    cli.console.answer(f"store    {_named(document['store'])}")
    cli.console.answer(f"why      {escape(cli.choice.origin)}")
    for label, values in (
        ("options ", document["store"]["driver_options"]),
        ("variable", document["store"]["variables"]),
    ):
        for name, value in _flatten(values):
            cli.console.detail(f"{label} {escape(f'{name} = {value}')}")
    if remote is not None:
        origin = escape(f"(named by {remote.origin})")
        cli.console.detail(f"remote   {_named(document['remote'])}  {origin}")
    absent = "" if user.is_file() else "  (absent)"
    cli.console.detail(
        f"project  {escape(str(project)) if project else 'no cas.toml here or above'}"
    )
    cli.console.detail(f"user     {escape(str(user))}{absent}")
    cli.console.detail(f"home     {escape(document['home_folder'])}")
    cli.console.detail(f"cache    {escape(document['cache_folder'])}")


def _facts_of(choice: StoreChoice, environ: Mapping[str, str]) -> dict[str, Any]:
    from cas import settings  # as above
    from cas.model.redaction import show_options  # the same

    return {
        "url": settings.redact(choice.url),
        "source": choice.source,
        "origin": choice.origin,
        "name": choice.name,
        "options": sorted(choice.storage_options),
        "driver_options": show_options(choice.storage_options),
        "variables": settings.driver_variables(choice.url, environ),
    }


def _named(store: Mapping[str, Any]) -> str:
    return escape(f"{store['name']} = {store['url']}" if store["name"] else store["url"])


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)

"""`cas config`: which store and folders are in force, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cas.cli.invocation import Invocation
from cas.cli.text import escape
from cas.cli.verb import verb

EXAMPLES = """
cas config
cas config --store main --json
"""


@verb("config", examples=EXAMPLES, exit_codes=())
def command(cli: Invocation) -> None:
    """Show which store is in force and why, and where settings and caches are.

    The store is named by --store, then CAS_STORE, then a cas.toml here or above, then the user's
    settings file; else it is the default one. CAS_HOME moves every local folder. Credentials
    among options and variables are hidden.
    """
    from cas import settings  # not needed for --help
    from cas.model.redaction import show_options  # the same

    choice = cli.choice
    project = settings.find_project_file(cli.cwd)
    user = settings.config_file(cli.environ)
    document: dict[str, Any] = {
        "store": {
            "url": cli.shown_url,
            "source": choice.source,
            "origin": choice.origin,
            "name": choice.name,
            "options": sorted(choice.storage_options),
            "driver_options": show_options(choice.storage_options),
            "variables": settings.driver_variables(choice.url, cli.environ),
        },
        "project_file": None if project is None else str(project),
        "user_file": str(user),
        "user_file_exists": user.is_file(),
        "home_folder": str(settings.home_folder(cli.environ)),
        "cache_folder": str(settings.cache_folder(cli.environ)),
    }
    if cli.console.as_json:
        cli.console.document(document)
        return
    named = f"{choice.name} = " if choice.name else ""
    cli.console.answer(f"store    {escape(named + cli.shown_url)}")
    cli.console.answer(f"why      {escape(choice.origin)}")
    for label, values in (
        ("options ", document["store"]["driver_options"]),
        ("variable", document["store"]["variables"]),
    ):
        for name, value in _flatten(values):
            cli.console.detail(f"{label} {escape(f'{name} = {value}')}")
    absent = "" if user.is_file() else "  (absent)"
    cli.console.detail(
        f"project  {escape(str(project)) if project else 'no cas.toml here or above'}"
    )
    cli.console.detail(f"user     {escape(str(user))}{absent}")
    cli.console.detail(f"home     {escape(document['home_folder'])}")
    cli.console.detail(f"cache    {escape(document['cache_folder'])}")


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)

"""`cas config`: which store and folders are in force, and why."""

from __future__ import annotations

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
    settings file; else it is the default one. CAS_HOME moves every local folder.
    """
    from cas import settings  # not needed for --help

    choice = cli.choice
    project = settings.find_project_file(cli.cwd)
    user = settings.config_file(cli.environ)
    document: dict[str, Any] = {
        "store": {
            "url": cli.shown_url,
            "source": choice.source,
            "origin": choice.origin,
            "name": choice.name,
            # Values may be secrets; names tell enough.
            "options": sorted(choice.storage_options),
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
    if choice.storage_options:
        cli.console.detail(f"options  {escape(', '.join(sorted(choice.storage_options)))}")
    absent = "" if user.is_file() else "  (absent)"
    cli.console.detail(
        f"project  {escape(str(project)) if project else 'no cas.toml here or above'}"
    )
    cli.console.detail(f"user     {escape(str(user))}{absent}")
    cli.console.detail(f"home     {escape(document['home_folder'])}")
    cli.console.detail(f"cache    {escape(document['cache_folder'])}")

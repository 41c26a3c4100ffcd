"""`cas cache`: data kept on this machine for those who read it again."""

from __future__ import annotations

import click

from cas.cli.cache_use import show_cache, show_check, show_freed
from cas.cli.invocation import Invocation
from cas.cli.text import escape
from cas.cli.verb import verb
from cas.errors import ErrorCode, InvalidInputError

EXAMPLES = """
cas cache
cas cache limit 20GB
cas cache limit 10%
cas cache clear
cas cache verify
"""
SYNONYMS = {"ls": "show", "clean": "clear"}


@verb("cache", examples=EXAMPLES, exit_codes=())
@click.argument("action", metavar="[show|limit|clear|verify]", default="show")
@click.argument("size", metavar="[SIZE]", required=False)
def command(cli: Invocation, action: str, size: str | None) -> None:
    """Show, limit, clear or verify the cache of data on this machine.

    There is none until somebody says how large it may be: limit SIZE writes that into the user's
    settings, CAS_CACHE_SIZE and --cache-size of get and cat say it for once. SIZE is 20GB, 10% of
    the disk, or 0 for none. What is read of a store that is not on this machine is kept then, in
    one place for all stores and processes, and what was not used for long goes. Every chunk is
    verified each time it is used. It is safe to clear at any time.
    """
    from cas import cache_settings  # these are not needed for --help
    from cas.chunk_cache import upkeep

    action = SYNONYMS.get(action, action)
    if action not in ("show", "limit", "clear", "verify"):
        raise InvalidInputError(
            f"a cache cannot {action!r}",
            code=ErrorCode.INVALID_OPTION,
            hint="cas cache [show|limit SIZE|clear|verify]",
        )
    if (action == "limit") != (size is not None):
        raise InvalidInputError(
            "a limit needs a size, and nothing else takes one",
            code=ErrorCode.INVALID_OPTION,
            hint="cas cache limit 20GB",
        )
    if size is not None:
        path = cache_settings.save_cache_size(cli.environ, size)
        cli.console.note(escape(f"wrote cache_size = {size} into {path}"))
    choice = cache_settings.choose_cache(cli.environ)
    if action == "verify":
        show_check(cli.console, upkeep.check_cache(choice.folder))
    elif action == "clear":
        show_freed(cli.console, upkeep.shrink_cache(choice.folder, 0))
    else:
        if size is not None:
            upkeep.shrink_cache(choice.folder, choice.limit_bytes)
        if size is not None and choice.source != "user config":
            cli.console.warning(f"{choice.origin} says otherwise, and counts more")
        show_cache(cli.console, choice, upkeep.measure_cache(choice.folder))

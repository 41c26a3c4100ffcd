"""One run of the tool: its flags, its console, and the store in force."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cas
from cas.backend.waiting import TOLD_AFTER_SECONDS, WAITING
from cas.cli.interrupt import INTERRUPTION
from cas.cli.render import COLOR_CHOICES, Console
from cas.cli.text import escape
from cas.errors import ErrorCode, InvalidInputError, NotFoundError
from cas.model.units import format_count, format_size

if TYPE_CHECKING:
    from cas import Store, StoreOptions
    from cas.backend.counting import RequestCounts
    from cas.settings import StoreChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Options that every command takes, before its name or after it."""

    store: str | None = None
    json: bool = False
    quiet: bool = False
    color: str | None = None
    no_truncate: bool = False
    debug: bool = False
    yes: bool = False
    stats: bool = False

    def over(self, outer: Flags) -> Flags:
        """Return these flags with `outer` filling in what is not given here."""
        return Flags(
            store=self.store or outer.store,
            json=self.json or outer.json,
            quiet=self.quiet or outer.quiet,
            color=self.color or outer.color,
            no_truncate=self.no_truncate or outer.no_truncate,
            debug=self.debug or outer.debug,
            yes=self.yes or outer.yes,
            stats=self.stats or outer.stats,
        )


class _Counted(Protocol):
    @property
    def url(self) -> str: ...

    @property
    def requests(self) -> RequestCounts: ...


class Invocation:
    """What a command works with."""

    def __init__(self, flags: Flags, *, environ: Mapping[str, str], cwd: Path) -> None:
        self.flags = flags
        self.environ = environ
        self.cwd = cwd
        self._warned: set[str] = set()
        self._counted: list[_Counted] = []
        self.console = Console(
            as_json=flags.json,
            quiet=flags.quiet,
            color=COLOR_CHOICES[flags.color or "auto"],
            truncate=not flags.no_truncate,
            environ=environ,
        )
        # Told at the end, as warnings of the tool look.
        warnings.filterwarnings("ignore", message="the data cache")
        WAITING.tell(lambda text: self.console.note(escape(text)))

    @cached_property
    def choice(self) -> StoreChoice:
        """The store in force and why."""
        return self.choose(None)

    def choose(self, url: str | None) -> StoreChoice:
        """Return the store that `url` names, or the one in force."""
        from cas.settings import find_store  # 10 ms that `cas --help` need not spend

        choice = find_store(url or self.flags.store, environ=self.environ, cwd=self.cwd)
        for warning in choice.warnings:
            if warning not in self._warned:
                self.console.warning(escape(warning))
                self._warned.add(warning)
        return choice

    def open_store(self, *, jobs: int | None = None, **soon: Any) -> Store:
        """Open the store in force; `soon` is what `StoreOptions` takes about the first request.

        Raises:
            NotFoundError: there is none; the message tells who named it.
        """
        return self._open(
            self.choice, jobs, ", or name another: --store, CAS_STORE, cas.toml", **soon
        )

    def open_other_store(self, choice: StoreChoice, *, jobs: int | None = None) -> Store:
        """Open a store besides the one in force.

        Raises:
            NotFoundError: there is none; the message tells who named it.
        """
        return self._open(choice, jobs)

    def choose_other(self, text: str, *, option: str) -> StoreChoice:
        """Return the store that an option names: a URL, a folder, or a name in a settings file."""
        from dataclasses import replace

        return replace(self.choose(text), origin=option)

    def choose_remote(self, text: str | None, *, option: str) -> StoreChoice:
        """Return the store that an option names, else the remote of the one in force.

        Raises:
            InvalidInputError: neither is given.
        """
        if text is not None:
            return self.choose_other(text, option=option)
        from cas.settings import find_remote  # as above

        remote = find_remote(self.choice, environ=self.environ, cwd=self.cwd)
        if remote is None:
            raise InvalidInputError(
                f"the store {self.shown_url} has no remote",
                code=ErrorCode.INVALID_CONFIG,
                hint=f'name a store with {option}, or write remote = "URL" into cas.toml',
            )
        return remote

    def open_or_create_store(self, *, jobs: int | None = None, **soon: Any) -> Store:
        """Open the store in force; make it, and say so, if it is the default one."""
        try:
            return self.open_store(jobs=jobs, **soon)
        except NotFoundError as error:
            if error.code is not ErrorCode.STORE_NOT_FOUND or self.choice.source != "default":
                raise
        Path(self.choice.url).parent.mkdir(parents=True, exist_ok=True)
        cas.Store.create(self.choice.url).close()
        self.console.note(
            f"created the default store {self.shown_url} (no other was named; see: cas config)"
        )
        return self.open_store(jobs=jobs)

    def open_store_for_plan(self, *, jobs: int | None = None) -> Store:
        """Open the store; where the default one does not exist yet, an empty one in memory."""
        try:
            return self.open_store(jobs=jobs)
        except NotFoundError as error:
            if error.code is not ErrorCode.STORE_NOT_FOUND or self.choice.source != "default":
                raise
        self.console.note(f"a put would create the default store {self.shown_url}")
        return cas.Store.create("memory://plan")

    def count(self, counted: _Counted) -> None:
        """Have `show_stats` tell what was asked through a store, or to examine one."""
        self._counted.append(counted)

    def show_stats(self) -> None:
        """Say what was asked of each store, if that is wanted, and what is wrong with the cache."""
        caches = [getattr(getattr(one, "parts", None), "chunks", None) for one in self._counted]
        for problem in dict.fromkeys(cache.problem for cache in caches if cache is not None):
            if problem is not None:
                self.console.warning(escape(problem))
        if not self.flags.stats:
            return
        for counted in self._counted:
            self._show_requests(counted)
            for tally in getattr(counted, "place_requests", ()):
                self._show_requests(tally, f"{tally.role} ")
            if (counts := getattr(counted, "cache_counts", None)) is not None:
                from cas.cli.cache_use import counts_line  # only this needs it

                self.console.statistics(counts_line(counts))

    def _show_requests(self, counted: _Counted, what: str = "") -> None:
        counts = counted.requests
        kinds = ", ".join(
            f"{name} {getattr(counts, name)}"
            for name in ("get", "put", "create", "list", "delete")
            if getattr(counts, name)
        )
        self.console.statistics(
            f"{what}{counted.url}: {format_count(counts.requests, 'request')}"
            + (f" ({kinds})" if kinds else "")
            + f", sent {format_size(counts.sent_bytes)}"
            + f", received {format_size(counts.received_bytes)}"
        )

    @property
    def shown_url(self) -> str:
        """The store's URL without secrets."""
        from cas.settings import redact  # as above

        return redact(self.choice.url)

    def _open(self, choice: StoreChoice, jobs: int | None, or_else: str = "", **soon: Any) -> Store:
        from cas.opening import begin_at  # as above

        options = replace(self._options(jobs), use_cache=choice.use_cache, **soon)
        # The first requests are under way while the rest is imported.
        begun = begin_at(choice.url, choice.storage_options, options)
        INTERRUPTION.on_press(begun.stop_retrying)
        try:
            with self._telling_that_it_waits_for(choice):
                store = cas.Store.finish(begun)
        except NotFoundError as error:
            # With a cause it is the backend's: the bucket itself is not there.
            if error.code is not ErrorCode.STORE_NOT_FOUND or error.__cause__ is not None:
                raise
            raise _no_store(choice, or_else) from error
        self.count(store)
        return store

    @contextmanager
    def _telling_that_it_waits_for(self, choice: StoreChoice) -> Iterator[None]:
        """Say so if a store that is not local does not answer soon."""
        from cas.settings import redact  # as above

        if "://" not in choice.url:
            yield
            return
        text = f"waiting for {escape(redact(choice.url))} to answer"
        timer = threading.Timer(TOLD_AFTER_SECONDS, lambda: WAITING.note(text))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _options(self, jobs: int | None) -> StoreOptions:
        from cas.settings import cache_folder  # as above

        given: dict[str, Any] = {"cache_dir": str(cache_folder(self.environ))}
        if jobs is not None:
            given["jobs"] = jobs
        return cas.StoreOptions(**given)


def _no_store(choice: StoreChoice, or_else: str) -> NotFoundError:
    from difflib import get_close_matches  # only errors need it

    from cas.settings import redact  # as above

    url = redact(choice.url)
    near = get_close_matches(Path(choice.url).name, choice.other_names, n=2)
    meant = f"did you mean {' or '.join(near)}? Else " if near else ""
    return NotFoundError(
        f"there is no store at {url} ({_why(choice)})",
        code=ErrorCode.STORE_NOT_FOUND,
        # The name brings the options of its table along, the URL alone would not.
        hint=f"{meant}cas init {choice.name or url}{or_else}",
    )


def _why(choice: StoreChoice) -> str:
    if choice.source == "default":
        return "the default, since no other was named"
    return f"named by {choice.origin}"

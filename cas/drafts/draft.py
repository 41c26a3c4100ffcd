"""A version in the making: a filesystem that is written to, and then committed."""

from __future__ import annotations

import os
import re
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from fsspec.transaction import Transaction

from cas.as_files.failures import as_os_errors
from cas.drafts.adding import Choice, find_added
from cas.drafts.base_tree import BaseTree
from cas.drafts.draft_tree import DraftTree, Folder
from cas.drafts.links import announce, find_running, withdraw
from cas.drafts.place import DraftPlace, Guest, OpenedStore, pin_known, reopened
from cas.drafts.reading import PROTOCOL
from cas.drafts.staging import Staging, join_staging, make_staging
from cas.drafts.writing import WritingDraft
from cas.errors import (
    CasError,
    ErrorCode,
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
)
from cas.format.version import VersionRecord
from cas.model.entry import PageLocation, path_to_bytes, path_to_text
from cas.model.names import ArtifactName
from cas.model.patterns import fixed_folder, has_wildcards, path_expression
from cas.operations.draft_edits import DraftSource
from cas.operations.outcomes import PutOptions, PutOutcome, PutPlan
from cas.operations.plan_put import plan_put
from cas.operations.put import put
from cas.version import Version

PathLike = str | os.PathLike[str]


class Draft(WritingDraft):
    r"""A version in the making: a writable filesystem of fsspec and a context manager.

    Leaving the context commits what is there as the next version; an exception discards it. Nothing
    reaches the store before. Thread-safe; other processes of the machine may
    take part, by a pickle or a fork, until this one commits it.

    Examples:
        >>> with store.draft("digits", base="digits:v0") as draft:
        ...     draft.pipe("test/c.txt", b"three\n")
        ...     draft.mv("train", "learn")
        ...     draft.remove("test/b*")
        ['test/b.txt']
        >>> sorted(draft.version)
        ['learn/a.txt', 'test/c.txt']
    """

    def __init__(self, store: OpenedStore, place: DraftPlace, guest: Guest | None = None) -> None:
        """Use `Store.draft`."""
        parts = store.parts
        staging = make_staging(parts.state_dir) if guest is None else join_staging(guest.folder)
        super().__init__(parts, DraftTree(BaseTree(place.base), staging), staging)
        self._store = store
        self._place = place
        self._outcome: PutOutcome | None = None
        self._is_over = False
        self._opened_in = os.getpid()
        self._made_in = self._opened_in if guest is None else guest.made_in
        self._forks = False
        self._left: list[object] = []
        self._leaving = weakref.finalize(self, _leave, staging, self._made_in)
        if guest is not None:
            self._held_tree.lock.join(guest.folder)
        announce(self.id, self)

    # -- what it is

    @property
    def id(self) -> str:
        """Its name in `casdraft://` URLs."""
        return self._staging.id

    @property
    def url(self) -> str:
        """The URL by which libraries of this process find it: `casdraft://<id>`."""
        return f"{PROTOCOL}://{self.id}"

    @property
    def fsid(self) -> str:
        """The same as `url`."""
        return self.url

    @property
    def base(self) -> str | None:
        """The version that it began with, `name:v3`; None if with nothing."""
        pinned = self._place.base
        return None if pinned is None else pinned.record.ref

    @property
    def outcome(self) -> PutOutcome:
        """What committing did.

        Raises:
            InvalidInputError: it is not committed.
        """
        if self._outcome is None:
            raise InvalidInputError("the draft is not committed", code=ErrorCode.INVALID_OPTION)
        return self._outcome

    @property
    def version(self) -> Version:
        """The version that it became; raises as `outcome` does."""
        return self._store.version(self.outcome.ref)

    @property
    def tree(self) -> DraftTree:
        """What the draft holds.

        Raises:
            InvalidInputError: it is committed or discarded.
        """
        if self._is_over:
            what = "was discarded" if self._outcome is None else f"became {self._outcome.ref}"
            raise InvalidInputError(
                f"this draft {what}, and is closed",
                code=ErrorCode.INVALID_OPTION,
                hint="begin another with Store.draft",
            )
        if os.getpid() != self._opened_in:
            self._open_in_child()
        return super().tree

    # -- what is put in and taken out

    def add(
        self,
        source: PathLike | Sequence[PathLike],
        to: str = "",
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> int:
        """Take in a local file, the content of a local folder, what lies behind a URL, or several
        of them, each under its own name.

        Local files stay where they are, and are read when the draft is committed: leave them as they
        are until then. What lies behind a URL is fetched now. Files that are there are replaced.

        Args:
            source: the path or URL, or several.
            to: the folder of the draft that takes it, or the path of a single file; of a file that
                keeps its name, the folder with a slash at its end.
            include: patterns of paths to take, by gitignore rules; empty means all.
            exclude: patterns of paths to leave out, besides `PutOptions.exclude` and `.casignore`.

        Returns:
            How many files and links were taken in.

        Raises:
            NotFoundError: there is no such path or object.
            IncompleteError: some of it cannot be read; nothing was taken in.
            BackendError: the storage behind the URL failed.
        """
        options = self._place.options
        choice = Choice(include, (*options.exclude, *exclude), options.source_options)
        several = [source] if isinstance(source, str | os.PathLike) else source
        sources, tree = [os.fspath(one) for one in several], self.tree
        found = list(find_added(self._parts, self._staging, sources, to, choice))
        with as_os_errors(), tree.held():
            for path, entry in found:
                if entry is None:
                    tree.make_folder(path)
                else:
                    tree.put(path, entry)
        return sum(entry is not None for _, entry in found)

    def remove(self, pattern: str, *, missing_ok: bool = False) -> list[str]:
        """Remove the files that fit a pattern, and folders that do with all that is in them.

        `*`, `?` and `[...]` stay in a folder; `**` stands for any number of folders.

        Returns:
            The paths that were removed.

        Raises:
            NotFoundError: nothing fits it, and not `missing_ok`.
            InvalidInputError: the pattern is empty.
        """
        tree = self.tree
        with as_os_errors(), tree.held():
            found = _find_fitting(tree, pattern)
            for path in found:
                tree.discard(path)
        if not found and not missing_ok:
            raise NotFoundError(
                f"nothing in the draft fits {pattern!r}",
                code=ErrorCode.PATH_NOT_FOUND,
                hint="* stays in a folder, ** crosses folders; missing_ok lets it pass",
            )
        return [path_to_text(path) for path in found]

    # -- the end

    def commit(self) -> Version:
        """Make what the draft holds the next version, unless the newest one holds just that.

        Another version that was published since is no obstacle, unless `if_parent` says so. Where
        this fails the draft stays as it is, and can be committed again.

        Raises:
            InvalidInputError: a file is open for writing, or there is nothing to put.
            NotFoundError: the base was deleted.
            ConflictError: `if_parent` is not the newest version.
            UnsupportedError: another process made the draft.
            IncompleteError: files that were added cannot be read any more; nothing was published.
            BackendError: the storage failed.
        """
        self._check_own()
        self.check_settled()
        place = self._place
        with self.tree.held():
            self._outcome = put(self._parts, self._source(), place.artifact, place.options)
            self._is_over = True
        self._end()
        return self.version

    def plan(self) -> PutPlan:
        """Return what committing would send, to the byte, without writing anything to the store."""
        self.check_settled()
        place = self._place
        return plan_put(self._parts, self._source(), place.artifact, place.options)

    def discard(self) -> None:
        """Throw away what was written; twice is fine.

        Raises:
            UnsupportedError: another process made the draft.
        """
        self._check_own()
        if not self._is_over:
            self._is_over = True
            self._end()

    def _source(self) -> DraftSource:
        pinned = self._place.base
        return DraftSource(None if pinned is None else pinned.record, self.tree.edits())

    def _check_own(self) -> None:
        if os.getpid() != self._made_in:
            raise UnsupportedError(
                "a draft is committed or discarded by the process that made it",
                code=ErrorCode.UNSUPPORTED_FEATURE,
                hint="end this one, and let that one go on",
            )

    def _end(self) -> None:
        withdraw(self.id)
        self._held_tree.lock.close()
        self._leaving()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if os.getpid() != self._made_in:
            return  # what was written is left to the process that made it
        if kind is not None:
            self.discard()
        elif not self._is_over:
            self.commit()

    # -- fsspec and Python

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path."""
        return f"{self.url}/{self._strip_protocol(name)}"

    @property
    def transaction_type(self) -> Callable[..., Transaction]:
        """What writes of a transaction are kept by."""
        return DraftTransaction

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<Draft {self.id} of {self._place.artifact}>"

    def __reduce__(self) -> tuple[Any, ...]:
        self.tree.lock.share(self._staging.folder)
        place, options = self._place, self._place.options
        of_adding = PutOptions(exclude=options.exclude, source_options=options.source_options)
        base = place.base
        known = None if base is None else (base.record, base.pages.location, base.is_digest_pinned)
        guest = Guest(self._staging.folder, self._made_in)
        return _join, (type(self), self._store, str(place.artifact), known, of_adding, guest)

    def begin_fork(self) -> None:
        """Let nobody act on it until the fork is over, and a child take part."""
        if not self._is_over and os.getpid() == self._opened_in:
            lock = self._held_tree.lock
            with suppress(CasError, OSError):  # a child that takes no part is no reason not to fork
                lock.share(self._staging.folder)
                lock.__enter__()
                self._forks = True

    def end_fork(self, *, in_child: bool) -> None:
        """Go on."""
        forks, self._forks = self._forks, False
        if in_child:
            self._held_tree.lock.begin_child()
            self._staging.begin_child()
        elif forks:
            self._held_tree.lock.__exit__(None, None, None)

    def _open_in_child(self) -> None:
        """Open the store anew in a forked child, whose connections are the parent's."""
        self._opened_in = os.getpid()
        base = self._held_tree.base
        # Not given back to the collector of garbage, which could close what the parent uses.
        self._left += [self._store, self._readers, base.version]
        self._store = reopened(self._store)
        self._parts = self._store.parts
        self._readers = OrderedDict()
        if base.version is not None:
            known = base.version.record, base.version.pages.location, base.version.is_digest_pinned
            base.version = pin_known(self._parts, *known)


def _join(
    kind: type[Draft],
    store: OpenedStore,
    artifact: str,
    base: tuple[VersionRecord, PageLocation, bool] | None,
    options: PutOptions,
    guest: Guest,
) -> Draft:
    """Return the draft itself where it runs, else one that takes part in it."""
    running = find_running(guest.folder.name)
    if isinstance(running, kind):
        return running
    pinned = None if base is None else pin_known(store.parts, *base)
    return kind(store, DraftPlace(ArtifactName(artifact), pinned, options), guest)


class DraftTransaction(Transaction):  # type: ignore[misc] # fsspec has no types
    """Files of a draft that appear together."""

    def complete(self, commit: bool = True) -> None:
        """Let all files appear, or none."""
        with self.fs.tree.held():
            super().complete(commit)


def _find_fitting(tree: DraftTree, pattern: str) -> list[bytes]:
    """Return the paths that fit a pattern, or lie in a folder that does; reads what may fit."""
    expression = path_expression(pattern)
    if not has_wildcards(pattern):
        itself = path_to_bytes(pattern.strip("/"))
        held = tree.look(itself)
        if held is None:
            return []
        return [path for path, _ in tree.below(itself)] if isinstance(held, Folder) else [itself]
    fits = re.compile(f"(?:{expression})(?:/.*)?", re.DOTALL)
    below = tree.below(path_to_bytes(fixed_folder(pattern)))
    return [path for path, _ in below if fits.fullmatch(path_to_text(path))]


def _leave(staging: Staging, made_in: int) -> None:
    """Remove what was written; not in a forked child, where it is the parent's."""
    if os.getpid() == made_in:
        staging.close()

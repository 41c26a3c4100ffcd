"""A version in the making: a filesystem that is written to, and then committed."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import NoReturn, Protocol, Self

from fsspec.transaction import Transaction

from cas.as_files.failures import as_os_errors
from cas.drafts.adding import Choice, find_added
from cas.drafts.base_tree import BaseTree
from cas.drafts.draft_tree import DraftTree, Folder
from cas.drafts.links import announce, withdraw
from cas.drafts.reading import PROTOCOL
from cas.drafts.staging import Staging
from cas.drafts.writing import WritingDraft
from cas.errors import ErrorCode, InvalidInputError, NotFoundError, UnsupportedError
from cas.model.entry import path_to_bytes, path_to_text
from cas.model.names import LATEST, ArtifactName, Ref
from cas.model.patterns import fixed_folder, has_wildcards, path_expression
from cas.objects.parts import StoreParts
from cas.operations.draft_edits import DraftSource
from cas.operations.outcomes import PutOptions, PutOutcome, PutPlan
from cas.operations.pinned import PinnedVersion, pin_version
from cas.operations.plan_put import plan_put
from cas.operations.put import put
from cas.version import Version

PathLike = str | os.PathLike[str]


class _Opened(Protocol):
    """What a draft needs of its store."""

    @property
    def parts(self) -> StoreParts: ...

    def version(self, ref: str) -> Version: ...


@dataclass(frozen=True, slots=True)
class DraftPlace:
    """Where a draft begins and what it becomes: see `Store.draft`."""

    artifact: ArtifactName
    base: PinnedVersion | None
    options: PutOptions

    @classmethod
    def find(
        cls, parts: StoreParts, name: str, base: str | None, options: PutOptions
    ) -> DraftPlace:
        """Resolve the base, once.

        Raises:
            NotFoundError: there is no such version.
            InvalidInputError: a name, a reference or an option is not allowed.
        """
        artifact = ArtifactName(name)
        if options.path is not None:
            raise InvalidInputError(
                "path is for streams; a draft has files of its own paths",
                code=ErrorCode.INVALID_OPTION,
            )
        pinned = _pin_base(parts, artifact, base)
        if pinned is not None and pinned.record.artifact != artifact:
            record = pinned.record
            ref = f"{record.artifact}:v{record.number}"
            inputs = options.inputs if ref in options.inputs else (*options.inputs, ref)
            options = replace(options, inputs=inputs, type=options.type or record.type)
        return cls(artifact, pinned, options)


def _pin_base(parts: StoreParts, artifact: ArtifactName, base: str | None) -> PinnedVersion | None:
    if base is None:
        return None
    if base == LATEST:
        try:
            return pin_version(parts, Ref(artifact))
        except NotFoundError:
            return None
    ref = Ref.parse(base)
    if ref.path:
        raise InvalidInputError(
            f"{base!r} names a path; a draft is based on a whole version",
            code=ErrorCode.INVALID_REF,
            hint="remove the rest in the draft",
        )
    return pin_version(parts, ref)


class Draft(WritingDraft):
    r"""A version in the making: a writable filesystem of fsspec and a context manager.

    Leaving the context commits what is there as the next version; an exception discards it. Nothing
    reaches the store before. Thread-safe; only in the process that made it.

    Examples:
        >>> with store.draft("digits", base="digits:v0") as draft:
        ...     draft.pipe("test/c.txt", b"three\n")
        ...     draft.mv("train", "learn")
        ...     draft.remove("test/b*")
        ['test/b.txt']
        >>> sorted(draft.version)
        ['learn/a.txt', 'test/c.txt']
    """

    def __init__(self, store: _Opened, place: DraftPlace) -> None:
        """Use `Store.draft`."""
        parts = store.parts
        staging = Staging(parts.state_dir)
        super().__init__(parts, DraftTree(BaseTree(place.base), staging), staging)
        self._store = store
        self._place = place
        self._outcome: PutOutcome | None = None
        self._is_over = False
        self._made_in = os.getpid()
        self._leaving = weakref.finalize(self, _leave, staging, self._made_in)
        announce(self.id, self)

    # -- what it is

    @property
    def id(self) -> str:
        """Its name in `cas-draft://` URLs."""
        return self._staging.id

    @property
    def url(self) -> str:
        """The URL by which libraries of this process find it: `cas-draft://<id>`."""
        return f"{PROTOCOL}://{self.id}"

    @property
    def fsid(self) -> str:
        """The same as `url`."""
        return self.url

    @property
    def base(self) -> str | None:
        """The version that it began with, `name:v3`; None if with nothing."""
        pinned = self._place.base
        return None if pinned is None else f"{pinned.record.artifact}:v{pinned.record.number}"

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
            UnsupportedError: this is another process than the one that made it.
        """
        if self._is_over:
            what = "was discarded" if self._outcome is None else f"became {self._outcome.ref}"
            raise InvalidInputError(
                f"this draft {what}, and is closed",
                code=ErrorCode.INVALID_OPTION,
                hint="begin another with Store.draft",
            )
        if os.getpid() != self._made_in:
            raise _elsewhere()
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
                hint="* stays in a folder, ** crosses folders; --force lets it pass",
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
            IncompleteError: files that were added cannot be read any more; nothing was published.
            BackendError: the storage failed.
        """
        tree = self.tree
        self.check_settled()
        place = self._place
        with tree.held():
            self._outcome = put(self._parts, self._source(), place.artifact, place.options)
            self._end()
        return self.version

    def plan(self) -> PutPlan:
        """Return what committing would send, to the byte, without writing anything to the store."""
        self.check_settled()
        place = self._place
        return plan_put(self._parts, self._source(), place.artifact, place.options)

    def discard(self) -> None:
        """Throw away what was written; twice is fine."""
        if not self._is_over:
            self._end()

    def _source(self) -> DraftSource:
        pinned = self._place.base
        return DraftSource(None if pinned is None else pinned.record, self.tree.edits())

    def _end(self) -> None:
        self._is_over = True
        withdraw(self.id)
        self._leaving()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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

    def __reduce__(self) -> NoReturn:
        raise _elsewhere()


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


def _elsewhere() -> UnsupportedError:
    return UnsupportedError(
        "a draft is written in the process that made it, and by its threads",
        code=ErrorCode.UNSUPPORTED_FEATURE,
        hint="let other processes write to local files, and add them to the draft",
    )

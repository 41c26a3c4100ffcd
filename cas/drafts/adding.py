"""Files and folders of this machine, and objects behind URLs, taken into a draft."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cas.backend.open import is_remote_url, local_path
from cas.drafts.paths import check_path
from cas.drafts.staging import Staging, local_entry
from cas.errors import ErrorCode, InvalidInputError
from cas.model.entry import EntryKind, path_to_bytes
from cas.objects.parts import StoreParts
from cas.operations.draft_edits import LocalEntry
from cas.operations.upload_tree import raise_problems
from cas.transfer.ignore import Ignore
from cas.transfer.remote_tree import RemoteTree, scan_places
from cas.transfer.tree import LocalTree, scan_tree

_FETCH_THREADS = 8
_PIECE_BYTES = 8 << 20  # what each thread holds

# A path in the draft and what is to stand there; None is an empty folder.
Found = tuple[bytes, LocalEntry | None]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files of a folder are taken, by the rules of gitignore: those that fit `include`, if
    there is any, and not `exclude`.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    source_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def wants(self) -> Callable[[bytes], bool]:
        """Return a test of paths by `include`."""
        if not self.include:
            return lambda _: True
        included = Ignore(self.include)
        return lambda path: included.matches(path, is_folder=False)


def find_added(
    parts: StoreParts, staging: Staging, sources: Sequence[str], to: str, choice: Choice
) -> Iterator[Found]:
    """Yield what paths or URLs bring, each with its path in the draft.

    What lies on this machine stays where it is until it is read; what lies behind a URL is fetched.

    Args:
        to: where the content of a folder goes, or several sources under their names, or what a file
            is to be called; with a slash at its end, the folder of a file.

    Raises:
        NotFoundError: there is no such path or object.
        InvalidInputError: there is nothing to add, or paths stand beside URLs.
        IncompleteError: some of it cannot be read.
        BackendError: the storage behind the URL failed.
    """
    urls = [source for source in sources if is_remote_url(source)]
    if not sources or 0 < len(urls) < len(sources):
        raise InvalidInputError(
            "local paths and URLs cannot be added together" if urls else "there is nothing to add",
            code=ErrorCode.INVALID_OPTION,
        )
    if urls:
        yield from _fetched(parts, staging, urls, to, choice)
        return
    paths = [Path(local_path(source)).absolute() for source in sources]
    tree = scan_tree(paths, exclude=choice.exclude)
    raise_problems(tree.problems)
    targets = _Targets(to, is_file=len(paths) == 1 and not paths[0].is_dir())
    wants = choice.wants()
    for row, stored in enumerate(tree.paths):
        kind = EntryKind(int(tree.kinds[row]))
        if not wants(stored) or (choice.include and kind is EntryKind.DIRECTORY):
            continue
        entry = None if kind is EntryKind.DIRECTORY else _local(tree, row, kind)
        yield targets.of(stored), entry


def _local(tree: LocalTree, row: int, kind: EntryKind) -> LocalEntry:
    return LocalEntry(tree.local_path(row), kind, tree.stamp(row), bool(tree.modes[row]))


def _fetched(
    parts: StoreParts, staging: Staging, urls: Sequence[str], to: str, choice: Choice
) -> Iterator[Found]:
    # fsspec's drivers take long to import.
    from cas.backend.places import open_place

    with ExitStack() as open_things:
        places = []
        for url in urls:
            places.append(open_place(url, choice.source_options, parts.tally(url, "source")))
            open_things.callback(places[-1].close)
        tree = scan_places(places, exclude=choice.exclude)
        raise_problems(tree.problems)
        targets = _Targets(to, is_file=len(places) == 1 and b"" not in tree.places)
        wants = choice.wants()
        rows = [row for row, path in enumerate(tree.paths) if wants(path)]

        def fetch(row: int) -> Found:
            return targets.of(tree.paths[row]), _fetch(staging, tree, row)

        pool = ThreadPoolExecutor(_FETCH_THREADS, thread_name_prefix="cas-fetch")
        yield from open_things.enter_context(pool).map(fetch, rows)


def _fetch(staging: Staging, tree: RemoteTree, row: int) -> LocalEntry:
    place, inside = tree.object_of(row)
    local = staging.new_file()
    size = tree.sizes.item(row)
    with local.open("xb") as file:
        for start in range(0, size, _PIECE_BYTES):
            file.write(place.read(inside, start, min(start + _PIECE_BYTES, size)))
    return local_entry(local)


class _Targets:
    """Where entries of a source go in the draft."""

    def __init__(self, to: str, *, is_file: bool) -> None:
        self._prefix = path_to_bytes(to.strip("/"))
        self._is_named = is_file and bool(self._prefix) and not to.endswith("/")

    def of(self, stored: bytes) -> bytes:
        """Return the path in the draft of an entry."""
        whole = b"/".join(filter(None, (self._prefix, stored)))
        path = self._prefix if self._is_named else whole
        check_path(path)
        return path

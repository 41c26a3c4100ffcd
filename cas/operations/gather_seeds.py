"""Which local files a get takes chunks from, so that it fetches only the others."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from cas.errors import ErrorCode, InvalidInputError
from cas.format.manifest import INLINE_LIMIT
from cas.model.entry import EntryKind
from cas.model.progress import Cancel, Progress
from cas.objects.parts import StoreParts
from cas.operations.outcomes import GetOptions
from cas.transfer.cutting import open_source
from cas.transfer.seeds import Seed, SeedIndex, index_seeds
from cas.transfer.stamp import FileStamp
from cas.transfer.target import TargetTree
from cas.transfer.tree import scan_tree


def scan_seeds(paths: Sequence[str], cancel: Cancel) -> list[Seed]:
    """Return the regular files at or below the paths that a user named. Links are not followed,
    except where a path itself is one.

    Raises:
        NotFoundError: there is no such path.
        InvalidInputError: it is neither file nor folder.
    """
    seeds: list[Seed] = []
    for path in paths:
        tree = scan_tree([path], check=cancel.check)
        if not tree.paths and tree.skipped:
            raise InvalidInputError(
                f"{path!r} is no file or folder to take bytes from", code=ErrorCode.INVALID_OPTION
            )
        of_use = (tree.kinds == EntryKind.FILE) & (tree.sizes > INLINE_LIMIT)
        seeds += [_seed(tree.local_path(row), tree.stamp(row)) for row in of_use.nonzero()[0]]
    return seeds


def existing_seeds(parts: StoreParts, target: TargetTree, paths: Sequence[bytes]) -> list[Seed]:
    """Return those of the files that are about to be replaced which are worth cutting.

    Out of a store on this machine all of a file is fetched in half the time that cutting and
    copying take. And a file of one chunk that differs shares no chunk with what replaces it.
    """
    if parts.backend.capabilities.local:
        return []
    seeds: list[Seed] = []
    for path in paths:
        status = target.status(path)
        if status is None or not stat.S_ISREG(status.st_mode):
            continue  # a link, for one
        if status.st_size >= parts.cutter.profile.average:
            stamp = FileStamp.of(status)
            seeds.append(Seed(lambda path=path: target.open_existing(path), stamp))  # type: ignore[misc]
    return seeds


def cut_seeds(parts: StoreParts, options: GetOptions, seeds: Sequence[Seed]) -> SeedIndex | None:
    """Cut files as the store cuts them, telling how far it is; None if there are none."""
    if not seeds:
        return None
    cancel = options.cancel or Cancel()
    total = sum(seed.stamp.size for seed in seeds)
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        cancel.check()
        done += size
        if options.progress is not None:
            options.progress(Progress(phase="plan", total_bytes=total, done_bytes=done))

    return index_seeds(
        parts.cutter,
        seeds,
        jobs=options.jobs or parts.jobs,
        memory_bytes=parts.memory_bytes,
        advance=advance,
    )


def _seed(path: bytes, stamp: FileStamp) -> Seed:
    return Seed(lambda: open_source(path), stamp)

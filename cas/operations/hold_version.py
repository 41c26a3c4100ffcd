"""Pins: what a version needs stays while it is read, though it is deleted for good meanwhile.

Rule R4 of specs/protocol/reading.md. A pin is an intent like a writer's, so it holds until it is taken
back, or until a collector takes its reader for dead; renewing it keeps it young.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from cas.errors import CasError, ConflictError, CorruptionError, ErrorCode, NotFoundError
from cas.format.session import Intent
from cas.format.version import MoveKind, VersionRecord
from cas.model.entry import PageLocation
from cas.objects.closure import ClosureReader
from cas.objects.collection_log import LogAnswer, check_log, list_log
from cas.objects.id_sets import Ids
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.objects.versions import list_slots, read_last_move, read_root_location
from cas.operations.guarantees import require_able_client
from cas.operations.pinned import PinnedVersion
from cas.operations.version_pages import VersionPages

# Any age is safe; collectors take sessions for dead that stored nothing for days.
RENEW_SECONDS = 3600.0
# Each try begins with a collection that opened meanwhile.
HOLD_ATTEMPTS = 8
# A collector may have listed the last intent and not yet read it.
KEPT_INTENTS = 2


class Hold:
    """A pin that was put and checked. Thread-safe.

    Attributes:
        root: what it holds: where the version's root lay when it was put.
    """

    def __init__(self, parts: StoreParts, record: VersionRecord, session: WriterSession) -> None:
        """Use `hold_version`."""
        self._parts = parts
        self._record = record
        self._session = session
        self._stamp = 0
        self._lock = threading.Lock()
        self.root = record.root

    def take(self) -> None:
        """Put the pin, from a fresh look at the version on.

        Raises:
            NotFoundError: the version was deleted for good.
            ConflictError: collections were faster every time.
            CorruptionError: a page or the root is missing or damaged.
            BackendError: the storage failed.
        """
        backend, record = self._parts.backend, self._record
        missing: CorruptionError | None = None
        for _ in range(HOLD_ATTEMPTS):
            # The log first: then all that the version needs is known with its stamp.
            stamp = list_log(backend).resolved_prefix
            listing = list_slots(backend, record.artifact)
            if read_last_move(backend, listing, record.number) is MoveKind.PURGE:
                raise NotFoundError(
                    f"{record.ref} was deleted for good",
                    code=ErrorCode.VERSION_DELETED,
                )
            root = read_root_location(backend, listing, record)
            if missing is not None and root == self.root:
                raise missing
            self.root, self._stamp = root, stamp
            try:
                if self.renew():
                    return
            except CorruptionError as error:
                if error.code is not ErrorCode.MISSING_OBJECT:
                    raise
                missing = error  # moved or purged meanwhile, or damaged
        raise ConflictError(
            f"collections condemned what {record.ref} needs {HOLD_ATTEMPTS} times in a row",
            code=ErrorCode.LOST_RACE,
            hint="run it again when no collection runs",
        )

    def renew(self) -> bool:
        """Put the pin anew, so that its age stays low; tell whether it holds.

        It does not if a collector took the reader for dead meanwhile, and what the version needs
        was condemned. That matters only if the version was deleted for good.

        Raises:
            CorruptionError: a page or the root is missing or damaged.
            BackendError: the storage failed; an earlier pin holds as it did.
        """
        with self._lock:
            self._session.put_intent(self._intent())
            checked = check_log(self._parts.backend, self._stamp, self._needed)
            if checked.answer is not LogAnswer.OK:
                return False
            self._stamp = checked.stamp
            self._session.keep_last(KEPT_INTENTS)
            return True

    def release(self) -> None:
        """Take the pin back."""
        with self._lock:
            self._session.close()

    def _intent(self) -> Intent:
        return Intent(
            session=self._session.id,
            k=self._session.next_intent,
            final=False,
            artifact=str(self._record.artifact),
            slot=self._record.number,
            revision=None,
            blob_ids=b"",
            meta_ids=b"",
            pages=(self.root,),
            stamp=self._stamp,
            created_ns=self._parts.clock.now_ns(),
        )

    def _needed(self) -> Ids:
        with ClosureReader(self._parts) as closures:
            found = closures.of_root(self.root)
        return np.concatenate([found.data_ids, found.meta_ids])


@contextmanager
def hold_version(
    parts: StoreParts, version: PinnedVersion, *, renew_seconds: float = RENEW_SECONDS
) -> Iterator[PinnedVersion]:
    """Keep what a version needs in the store for as long as this lasts.

    Gives the version as it is read under the pin: where it lay when the pin was put. A thread
    renews the pin now and then.

    Raises:
        NotFoundError: the version was deleted for good.
        ConflictError: collections were faster every time.
        BackendError: the storage failed, or does not let this user write below `sessions/`.
        UnsupportedError: the driver is too old to write there.
    """
    require_able_client(parts)
    hold = Hold(parts, version.record, WriterSession(parts.backend))
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(renew_seconds):
            # What fails now is tried again; the last pin is still there.
            with suppress(CasError):
                hold.renew()

    try:
        hold.take()
        renewer = threading.Thread(target=renew, name="cas-pin", daemon=True)
        renewer.start()
        try:
            yield _at(parts, version, hold.root)
        finally:
            ended.set()
            renewer.join()
    finally:
        hold.release()


def _at(parts: StoreParts, version: PinnedVersion, root: PageLocation) -> PinnedVersion:
    """Return a version that is read where its root lies now."""
    if root == version.pages.location:
        return version
    pages = VersionPages(parts, version.record, root, is_vouched=version.is_digest_pinned)
    if version.is_digest_pinned:
        pages.verify_digest()
    return replace(version, root=root, pages=pages)

"""W1 to W3 of a put: tell collectors, check the log, take the slot.

Spec: specs/protocol/put.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cas.errors import ConflictError, ErrorCode
from cas.format.session import Intent
from cas.format.version import VersionRecord, VoidRecord
from cas.model.names import ArtifactName
from cas.objects.base_version import Surroundings
from cas.objects.collection_log import LogAnswer, check_log
from cas.objects.id_sets import sort_ids
from cas.objects.manifests import write_meta_blob
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.objects.versions import publish, read_slot
from cas.operations.describe import Description
from cas.operations.lay_out import Manifest, lay_out_manifest, rows_of_ids
from cas.operations.leave_slot import leave_slot
from cas.operations.stored_tree import StoredTree

WRITE_THREADS = 4
# Each new try begins with what a collector did to the one before; more than a few in a row means
# that somebody collects in a loop.
COMMIT_ATTEMPTS = 8

Ids = NDArray[np.uint8]
Result = TypeVar("Result")


class NotCommitted(Exception):  # noqa: N818 - a signal inside a put, no error for callers
    """The version must be made again: a collector was faster. Never leaves a put."""

    def __init__(self, bad_blobs: frozenset[bytes] = frozenset()) -> None:
        super().__init__("not committed")
        self.bad_blobs = bad_blobs


def until_committed(
    artifact: ArtifactName, attempt: Callable[[frozenset[bytes]], Result]
) -> Result:
    """Make a version, from a fresh look at the store on, until it is committed.

    Args:
        attempt: one try; it is told the ids of the blobs that tries before it found bad.

    Raises:
        ConflictError: collections were faster every time.
    """
    bad_blobs: frozenset[bytes] = frozenset()
    for _ in range(COMMIT_ATTEMPTS):
        try:
            return attempt(bad_blobs)
        except NotCommitted as again:
            bad_blobs |= again.bad_blobs
    raise ConflictError(
        f"collections removed what {artifact} needs {COMMIT_ATTEMPTS} times in a row",
        code=ErrorCode.LOST_RACE,
        hint="run it again when no collection runs",
    )


def _raise_failures(futures: Iterable[Future[Any]]) -> None:
    """Raise what a request that is over failed with.

    A commit that has to be tried again is no failure: what is under way serves the next try.
    """
    for future in futures:
        error = future.exception() if future.done() else None
        if error is not None and not isinstance(error, NotCommitted):
            raise error


class Commit:
    """Publishes a stored tree as the next version. Used once."""

    def __init__(
        self,
        parts: StoreParts,
        artifact: ArtifactName,
        session: WriterSession,
        found: Surroundings,
        stored: StoredTree,
    ) -> None:
        self._parts = parts
        self._backend = parts.backend
        self._artifact = artifact
        self._session = session
        self._found = found
        self._stored = stored
        if session.first_slot is None:
            session.first_slot = found.listing.next_slot
        self._first_slot = session.first_slot

    def run(self, description: Description, *, must_follow: bool) -> VersionRecord:
        """Publish and return the record that stands in the slot.

        Raises:
            NotCommitted: a collector condemned something, or knows more than this writer.
            ConflictError: `must_follow` and another version was published meanwhile.
        """
        manifest = lay_out_manifest(self._session.id, self._found, self._stored)
        stamp = self._announce_and_store(manifest)
        return self._take_slot(manifest, description, stamp, must_follow=must_follow)

    # -- W1

    def _final_intent(self, manifest: Manifest) -> Intent:
        """Name all that the version needs: new pages and every blob they speak of by id, reused
        pages behind the root of the base version, or one by one if that root is about to go.
        """
        root = self._found.usable_root
        behind = manifest.reused if root is None or not manifest.reused else (root,)
        meta_ids = sorted({blob.blob_id.raw for blob in manifest.new_blobs})
        return Intent(
            session=self._session.id,
            k=self._session.next_intent,
            final=True,
            artifact=str(self._artifact),
            slot=self._first_slot,
            revision=None,
            blob_ids=manifest.data_ids,
            meta_ids=b"".join(meta_ids),
            pages=behind,
            stamp=self._lowest_stamp(),
            created_ns=self._parts.clock.now_ns(),
        )

    def _announce_and_store(self, manifest: Manifest) -> int:
        """Do W1 and W2 while the last blobs are sent and pages and root are written; return the
        stamp of the version. All that it needs is durable after.

        The intent may be there before all else: it names every blob by id.
        """
        stored = self._stored
        intent = self._final_intent(manifest)
        with ThreadPoolExecutor(WRITE_THREADS, thread_name_prefix="cas-commit") as pool:
            check = pool.submit(self._announce_and_check, intent, manifest)
            pages = [
                pool.submit(write_meta_blob, self._backend, blob) for blob in manifest.new_blobs
            ]
            try:
                while not stored.is_sent():
                    _raise_failures([check, *pages])
                # Not before its blobs, which whoever reads it takes for stored.
                stored.write_segment(self._found.stamp)
                for page in pages:
                    page.result()
                stamp = check.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        stored.sent_bytes += sum(blob.size for blob in manifest.new_blobs)
        return stamp

    def _announce_and_check(self, intent: Intent, manifest: Manifest) -> int:
        self._session.put_intent(intent)
        return self._check(manifest)

    # -- W2

    def _check(self, manifest: Manifest) -> int:
        ids: list[Ids] = []

        def needed() -> Ids:
            metas = [blob.blob_id.raw for blob in manifest.new_blobs]
            tables = self._stored.blob_tables()
            metas += [one.blob_id.raw for one in manifest.reused]
            # The root of the base protects the reused pages: it must stay until W3, too.
            root = self._found.usable_root
            if root is not None:
                metas.append(root.blob_id.raw)
            ids.append(sort_ids(np.concatenate([rows_of_ids(metas), *tables])))
            return ids[-1]

        checked = check_log(self._backend, self._lowest_stamp(), needed)
        if checked.answer is LogAnswer.BAD:
            bad = ids[-1][checked.bad]
            raise NotCommitted(frozenset(row.tobytes() for row in bad))
        if checked.answer is LogAnswer.STALE:
            raise NotCommitted
        return checked.stamp

    def _lowest_stamp(self) -> int:
        """The lowest stamp of all facts that the version rests on."""
        return min([self._found.stamp, *(page.stamp for page in self._stored.pages)])

    # -- W3

    def _take_slot(
        self, manifest: Manifest, description: Description, stamp: int, *, must_follow: bool
    ) -> VersionRecord:
        number = self._first_slot
        self._session.hold()
        while True:
            record = self._record(manifest, description, number, stamp)
            try:
                stands = publish(self._backend, record, self._artifact, number)
            except BaseException:
                self._give_up(number)
                raise
            if stands.session == self._session.id:
                if isinstance(stands, VersionRecord):
                    self._session.release()
                    return stands
                # A collector took this session for dead and settled it.
                self._session.renew()
                raise NotCommitted
            if must_follow and isinstance(stands, VersionRecord):
                self._session.release()
                raise ConflictError(
                    f"{self._artifact}:v{number} was published meanwhile",
                    code=ErrorCode.PARENT_MOVED,
                    hint="look at it, then put again",
                )
            number += 1

    def _give_up(self, number: int) -> None:
        """The slot may or may not be ours, now or later: settle that before intents go."""
        backend, artifact = self._backend, self._artifact
        leave_slot(
            self._parts,
            self._session,
            lambda: publish(backend, VoidRecord(self._session.id), artifact, number),
            lambda: read_slot(backend, artifact, number) is not None,
        )

    def _record(
        self, manifest: Manifest, description: Description, number: int, stamp: int
    ) -> VersionRecord:
        newest = self._found.newest
        stored = self._stored
        return VersionRecord(
            artifact=self._artifact,
            number=number,
            digest=stored.digest,
            totals=stored.totals,
            root=manifest.root,
            parent=newest.number if newest else None,
            type=description.type,
            description=description.description,
            message=description.message,
            metadata=description.metadata,
            inputs=description.inputs,
            producer=description.producer,
            created_ns=self._parts.clock.now_ns(),
            session=self._session.id,
            stamp=stamp,
            new_bytes=stored.counts.new_bytes,
            stored_bytes=stored.stored_bytes,
            expires_ns=description.expires_ns,
            extra=description.extra,
        )

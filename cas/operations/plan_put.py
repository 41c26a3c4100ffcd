"""What a put would do, to the byte, without writing anything: the whole pipeline runs, but for
a backend that only counts what it is given.
"""

from __future__ import annotations

from dataclasses import replace

from cas.model.entry import path_to_text
from cas.model.names import ArtifactName
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.commit import until_committed
from cas.operations.describe import check_options
from cas.operations.dry_backend import DryBackend
from cas.operations.lay_out import lay_out_manifest
from cas.operations.outcomes import PlannedFile, PutOptions, PutPlan
from cas.operations.store_source import AnySource, look_around, store_source

# The log's listing at W2, the slot, and the deletion of the intent; the puts are counted.
FIXED_REQUESTS = 3


def plan_put(
    parts: StoreParts, source: AnySource, artifact: ArtifactName, options: PutOptions
) -> PutPlan:
    """Return what `put` with the same arguments would do now. Raises as `put` does."""
    check_options(options)
    return until_committed(
        artifact, lambda bad_blobs: _plan(parts, source, artifact, options, bad_blobs)
    )


def _plan(
    parts: StoreParts,
    source: AnySource,
    artifact: ArtifactName,
    options: PutOptions,
    bad_blobs: frozenset[bytes],
) -> PutPlan:
    backend = DryBackend(parts.backend)
    dry = replace(parts, backend=backend)
    session = WriterSession(dry.backend)
    found = look_around(parts, source, artifact).avoiding(bad_blobs)
    with store_source(dry, source, options, session, found, notes=False) as stored:
        stored.finish_sending()
        newest = found.newest
        changed = (
            newest is None or options.force or not stored.stated_for(newest, found.newest_root)
        )
        blobs = len(stored.sent)
        if changed:
            manifest = lay_out_manifest(session.id, found, stored)
            for blob in manifest.new_blobs:
                backend.put("", blob.parts)
            stored.write_segment(found.stamp)
            backend.puts += 1  # the intent
        fresh = stored.new_bytes_by_row.nonzero()[0].tolist()
        files = tuple(
            PlannedFile(
                path_to_text(stored.tree.paths[row]),
                int(stored.tree.sizes[row]),
                int(stored.new_bytes_by_row[row]),
            )
            for row in fresh
        )
        return PutPlan(
            artifact=str(artifact),
            next_number=found.listing.next_slot,
            changed=changed,
            totals=stored.totals,
            new_bytes=stored.counts.new_bytes,
            stored_bytes=stored.stored_bytes,
            sent_bytes=backend.put_bytes,
            requests=backend.puts + FIXED_REQUESTS if changed else 0,
            blobs=blobs,
            files=files,
            skipped=tuple(stored.skipped),
        )

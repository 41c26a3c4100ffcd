"""What is put, whatever it is: a tree, a stream or objects, or a draft on a version."""

from __future__ import annotations

from contextlib import AbstractContextManager

from cas.model.names import ArtifactName
from cas.objects.base_version import Surroundings, read_surroundings
from cas.objects.parts import StoreParts
from cas.objects.sessions import WriterSession
from cas.operations.draft_edits import DraftSource
from cas.operations.outcomes import PutOptions
from cas.operations.store_tree import Source, store_tree
from cas.operations.stored_tree import StoredTree

AnySource = Source | DraftSource


def look_around(parts: StoreParts, source: AnySource, artifact: ArtifactName) -> Surroundings:
    """Read what a put must know before it begins; see `read_surroundings` and `look_from_base`."""
    found = read_surroundings(parts.backend, parts.pages, artifact)
    if isinstance(source, DraftSource):
        from cas.operations.store_draft import look_from_base  # 8 ms that others need not spend

        return look_from_base(parts, source, found)
    return found


def store_source(
    parts: StoreParts,
    source: AnySource,
    options: PutOptions,
    session: WriterSession,
    found: Surroundings,
    *,
    notes: bool = True,
) -> AbstractContextManager[StoredTree]:
    """Store what is new in a source, and give its pages; see `store_tree` and `store_draft`."""
    if isinstance(source, DraftSource):
        from cas.operations.store_draft import store_draft  # see above

        return store_draft(parts, source, options, session, found, notes=notes)
    return store_tree(parts, source, options, session, found, notes=notes)

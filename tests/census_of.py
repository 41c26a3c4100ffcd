"""A census made by hand, for tests of what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cas.format.version import Lineage, MoveKind, MoveRecord, VersionRecord
from cas.model.entry import PageLocation, Totals
from cas.model.ids import BlobId, PageId, SessionId, VersionDigest
from cas.model.names import ArtifactName
from cas.objects.versions import SlotListing
from cas.operations.census import Census, CountedVersion, Name

STORE = "00" * 16
MARK = SessionId(bytes(16))


def digest_of(name: Name) -> VersionDigest:
    """Return a digest that only this version has."""
    return VersionDigest(f"{name[0]}:{name[1]}".encode().ljust(32, b"\0"))


def counted(
    artifact: str,
    number: int,
    *,
    created_ns: int = 0,
    moved: tuple[MoveKind, int] | None = None,
    inputs: Sequence[Name] = (),
    **given: Any,
) -> CountedVersion:
    """Return a version; `moved` is its last move and when that was, `of_store` its lineage's."""
    store_id = given.pop("of_store", STORE)
    record = VersionRecord(
        artifact=ArtifactName(artifact),
        number=number,
        digest=digest_of((artifact, number)),
        totals=Totals(files=1, symlinks=0, directories=0, externals=0, size=10),
        root=PageLocation(
            page_id=PageId(bytes(32)),
            blob_id=BlobId(bytes(32)),
            blob_size=1,
            offset=0,
            length=1,
        ),
        parent=None,
        type="dataset",
        description="",
        message="",
        metadata=given.pop("metadata", {}),
        inputs=tuple(Lineage(*name, digest_of(name), store_id) for name in inputs),
        producer={},
        created_ns=created_ns,
        session=MARK,
        stamp=0,
        new_bytes=0,
        stored_bytes=0,
    )
    move = None
    if moved is not None:
        move = MoveRecord(kind=moved[0], created_ns=moved[1], session=MARK, reason="")
    return CountedVersion(record=record, move=move, **given)


def census_of(versions: Iterable[CountedVersion]) -> Census:
    """Return the census of a store that holds these versions."""
    by_name = {one.name: one for one in versions}
    listings = {
        artifact: SlotListing(
            artifact,
            frozenset(one.record.number for one in by_name.values()),
            moves={one.record.number: 1 for one in by_name.values() if one.move is not None},
        )
        for artifact in {one.record.artifact for one in by_name.values()}
    }
    return Census(STORE, by_name, listings)

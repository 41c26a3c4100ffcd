"""Records of versions: slots, revisions of locations, moves to the trash, expiries, aliases.

Spec: specs/format/07-version.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cas.errors import ErrorCode, InvalidInputError
from cas.format.encoding import (
    MAX_RECORD_BYTES,
    Buffer,
    malformed,
    pack_record,
    unpack_record,
    unsupported,
)
from cas.format.fields import MAX_INTEGER, FieldReader, check_json_map, location_fields
from cas.model.entry import PageLocation, Totals
from cas.model.ids import SessionId, VersionDigest
from cas.model.names import ArtifactName

SLOT_MAGIC = b"CASV"
REVISION_MAGIC = b"CASR"
MOVE_MAGIC = b"CASM"
ALIAS_MAGIC = b"CASA"
EXPIRY_MAGIC = b"CASP"

_TOTALS = ("files", "symlinks", "directories", "externals", "size")


@dataclass(frozen=True, slots=True)
class Lineage:
    """A version that another was made from; `store_id` says in which store it is."""

    artifact: str
    number: int
    digest: VersionDigest
    store_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """What stands in the slot of a published version.

    Attributes:
        root: where the root of its manifest lies, unless a revision says otherwise.
        parent: number of the version it followed, or None.
        metadata: the user's, plain values.
        inputs: versions it was made from.
        producer: who made it: command, commit, host; plain values.
        session: who wrote it.
        stamp: all it needs survived every run of collection up to this one.
        new_bytes: raw bytes of chunks that the store did not have.
        stored_bytes: what these take in the store.
        expires_ns: when it may go by itself, unless an expiry says otherwise; None is never.
        extra: fields of later releases, kept as they are.
    """

    artifact: ArtifactName
    number: int
    digest: VersionDigest
    totals: Totals
    root: PageLocation
    parent: int | None
    type: str
    description: str
    message: str
    metadata: dict[str, Any]
    inputs: tuple[Lineage, ...]
    producer: dict[str, Any]
    created_ns: int
    session: SessionId
    stamp: int
    new_bytes: int
    stored_bytes: int
    expires_ns: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """The version as a reference: `name:v4`."""
        return f"{self.artifact}:v{self.number}"


@dataclass(frozen=True, slots=True)
class VoidRecord:
    """What stands in a slot or revision that will never hold one: `session` lost it."""

    session: SessionId


class MoveKind(StrEnum):
    """Where a move takes a version: into the trash, back, or out of the store for good."""

    TRASH = "trash"
    RESTORE = "restore"
    PURGE = "purge"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRecord:
    """A move of a version. `session` is a mark of its own, so its writer knows it again."""

    kind: MoveKind
    created_ns: int
    session: SessionId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasRecord:
    """A move of an alias. Number and digest None: the alias was removed.

    Attributes:
        protected: neither the alias nor what it points at goes unless that is forced.
    """

    number: int | None
    digest: VersionDigest | None
    created_ns: int
    session: SessionId
    protected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiryRecord:
    """When a version may go by itself; None is never. `session` is a mark of its own."""

    expires_ns: int | None
    created_ns: int
    session: SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRecord:
    """New locations of a version: another root with the same digest."""

    session: SessionId
    root: PageLocation
    stamp: int
    digest: VersionDigest


def encode_slot(record: VersionRecord | VoidRecord) -> bytes:
    """Return the bytes of a slot.

    Raises:
        InvalidInputError: the record is over 64 KiB or holds something that cannot be stored.
    """
    if isinstance(record, VoidRecord):
        return _pack(SLOT_MAGIC, _void_fields(record))
    check_json_map(record.metadata, "metadata")
    check_json_map(record.producer, "producer")
    fields: dict[str, Any] = {
        "kind": "version",
        "artifact": str(record.artifact),
        "number": record.number,
        "digest": record.digest.raw,
        "totals": {name: getattr(record.totals, name) for name in _TOTALS},
        "root": location_fields(record.root),
        "parent": record.parent,
        "type": record.type,
        "description": record.description,
        "message": record.message,
        "metadata": record.metadata,
        "inputs": [
            {
                "artifact": lineage.artifact,
                "number": lineage.number,
                "digest": lineage.digest.raw,
                "store_id": lineage.store_id,
            }
            for lineage in record.inputs
        ],
        "producer": record.producer,
        "created_ns": record.created_ns,
        "session": record.session.raw,
        "stamp": record.stamp,
        "new_bytes": record.new_bytes,
        "stored_bytes": record.stored_bytes,
    }
    if record.expires_ns is not None:
        fields["expires_ns"] = record.expires_ns
    return _pack(SLOT_MAGIC, {**record.extra, **fields})


def decode_slot(
    content: Buffer, *, what: str, artifact: ArtifactName, number: int
) -> VersionRecord | VoidRecord:
    """Return what stands in slot `number` of `artifact`.

    Raises:
        CorruptionError: it is damaged, or a version of another artifact or number.
        UnsupportedError: a later cas wrote it.
    """
    fields = _open(SLOT_MAGIC, content, what)
    kind = fields.text("kind")
    if kind == "void":
        return _read_void(fields)
    if kind != "version":
        raise unsupported(what, f"this cas does not know slots of kind {kind[:20]!r}")
    named, at = fields.text("artifact"), fields.integer("number")
    if named != str(artifact) or at != number:
        raise malformed(what, f"is the record of {named[:80]!r} v{at}, not {artifact} v{number}")
    totals = fields.reader("totals")
    files, symlinks, directories, externals, size = map(totals.integer, _TOTALS)
    totals.rest()
    return VersionRecord(
        artifact=artifact,
        number=number,
        digest=VersionDigest(fields.id("digest")),
        totals=Totals(
            files=files, symlinks=symlinks, directories=directories, externals=externals, size=size
        ),
        root=fields.location("root"),
        parent=fields.optional_integer("parent"),
        type=fields.text("type"),
        description=fields.text("description"),
        message=fields.text("message"),
        metadata=fields.json_map("metadata"),
        inputs=tuple(_read_lineage(one) for one in fields.readers("inputs")),
        producer=fields.json_map("producer"),
        created_ns=fields.integer("created_ns", low=-MAX_INTEGER),
        session=fields.session(),
        stamp=fields.integer("stamp"),
        new_bytes=fields.integer("new_bytes"),
        stored_bytes=fields.integer("stored_bytes"),
        expires_ns=fields.optional_integer("expires_ns"),
        extra=fields.rest(),
    )


def encode_revision(record: RevisionRecord | VoidRecord) -> bytes:
    """Return the bytes of a revision of a version's locations."""
    if isinstance(record, VoidRecord):
        return _pack(REVISION_MAGIC, _void_fields(record))
    fields = {
        "kind": "revision",
        "session": record.session.raw,
        "root": location_fields(record.root),
        "stamp": record.stamp,
        "digest": record.digest.raw,
    }
    return _pack(REVISION_MAGIC, fields)


def decode_revision(content: Buffer, *, what: str) -> RevisionRecord | VoidRecord:
    """Return a revision of a version's locations. Raises as `decode_slot` does."""
    fields = _open(REVISION_MAGIC, content, what)
    kind = fields.text("kind")
    if kind == "void":
        return _read_void(fields)
    if kind != "revision":
        raise unsupported(what, f"this cas does not know revisions of kind {kind[:20]!r}")
    record = RevisionRecord(
        session=fields.session(),
        root=fields.location("root"),
        stamp=fields.integer("stamp"),
        digest=VersionDigest(fields.id("digest")),
    )
    fields.rest()
    return record


def encode_move(record: MoveRecord) -> bytes:
    """Return the bytes of a move."""
    fields = {
        "kind": record.kind.value,
        "created_ns": record.created_ns,
        "session": record.session.raw,
        "reason": record.reason,
    }
    return _pack(MOVE_MAGIC, fields)


def decode_move(content: Buffer, *, what: str) -> MoveRecord:
    """Return a move of a version. Raises as `decode_slot` does."""
    fields = _open(MOVE_MAGIC, content, what)
    kind = fields.text("kind")
    if kind not in set(MoveKind):
        raise unsupported(what, f"this cas does not know moves of kind {kind[:20]!r}")
    record = MoveRecord(
        kind=MoveKind(kind),
        created_ns=fields.integer("created_ns", low=-MAX_INTEGER),
        session=fields.session(),
        reason=fields.text("reason"),
    )
    fields.rest()
    return record


def encode_alias(record: AliasRecord) -> bytes:
    """Return the bytes of a move of an alias."""
    fields: dict[str, Any] = {
        "number": record.number,
        "digest": None if record.digest is None else record.digest.raw,
        "created_ns": record.created_ns,
        "session": record.session.raw,
    }
    if record.protected:
        fields["protected"] = True
    return _pack(ALIAS_MAGIC, fields)


def decode_alias(content: Buffer, *, what: str) -> AliasRecord:
    """Return a move of an alias. Raises as `decode_slot` does."""
    fields = _open(ALIAS_MAGIC, content, what)
    number = fields.optional_integer("number")
    record = AliasRecord(
        number=number,
        digest=None if number is None else VersionDigest(fields.id("digest")),
        created_ns=fields.integer("created_ns", low=-MAX_INTEGER),
        session=fields.session(),
        protected=fields.flag("protected"),
    )
    extra = fields.rest()
    if number is None and extra.get("digest") is not None:
        raise malformed(what, "a removed alias has a digest")
    return record


def encode_expiry(record: ExpiryRecord) -> bytes:
    """Return the bytes of an expiry."""
    fields = {
        "expires_ns": record.expires_ns,
        "created_ns": record.created_ns,
        "session": record.session.raw,
    }
    return _pack(EXPIRY_MAGIC, fields)


def decode_expiry(content: Buffer, *, what: str) -> ExpiryRecord:
    """Return when a version may go. Raises as `decode_slot` does."""
    fields = _open(EXPIRY_MAGIC, content, what)
    record = ExpiryRecord(
        expires_ns=fields.optional_integer("expires_ns"),
        created_ns=fields.integer("created_ns", low=-MAX_INTEGER),
        session=fields.session(),
    )
    fields.rest()
    return record


def _open(magic: bytes, content: Buffer, what: str) -> FieldReader:
    return FieldReader(unpack_record(magic, content, what=what, limit=MAX_RECORD_BYTES), what)


def _void_fields(record: VoidRecord) -> dict[str, Any]:
    return {"kind": "void", "session": record.session.raw}


def _read_void(fields: FieldReader) -> VoidRecord:
    record = VoidRecord(fields.session())
    fields.rest()
    return record


def _read_lineage(fields: FieldReader) -> Lineage:
    lineage = Lineage(
        artifact=fields.text("artifact"),
        number=fields.integer("number"),
        digest=VersionDigest(fields.id("digest")),
        store_id=fields.text("store_id"),
    )
    fields.rest()
    return lineage


def _pack(magic: bytes, fields: dict[str, Any]) -> bytes:
    content = pack_record(magic, fields)
    if len(content) > MAX_RECORD_BYTES:
        raise InvalidInputError(
            f"a record of {len(content)} bytes is over the limit of {MAX_RECORD_BYTES}",
            code=ErrorCode.INVALID_OPTION,
            hint="shorten the metadata, description or message, or put them in a file",
        )
    return content

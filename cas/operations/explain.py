"""Why something is still in the store: the chain from a blob, a file or a version to what keeps it.

A blob is kept by versions that need it, and by what writers and readers at work announced; a version
by not being deleted, or by lying in the trash. Aliases and lineage keep nothing by themselves: they
stand against deleting, and keep a version beyond its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cas.errors import ErrorCode, NotFoundError
from cas.format.manifest import find_page, root_page_location
from cas.model.entry import path_to_bytes
from cas.model.ids import BlobId
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import read_root_location
from cas.operations.census import Census, CountedVersion, Name, VersionState, take_census
from cas.operations.damaged_records import DamagedRecord
from cas.operations.find_keepers import BlobKeepers, StoredBlob, find_blob, find_keepers
from cas.operations.resolve import resolve_record
from cas.operations.retention import TRASH_KEEP_NS
from cas.operations.version_pages import PageContents, VersionPages

Users = dict[Name, list[str]]


class Subject(StrEnum):
    """What was asked about."""

    VERSION = "version"
    PATH = "path"
    BLOB = "blob"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingVersion:
    """A version and what speaks for it.

    Attributes:
        aliases: what points at it.
        protected: those of them that are protected.
        users: visible versions that were made from it, as references.
        expires_ns: when a collection may move it to the trash, or None.
        purge_ns: when a collection purges it, if it lies in the trash: 30 days after it went there,
            unless the collection is told another time.
        paths: some of its files that lie in the blob, if a blob was asked about.
        more_paths: how many others there are.
    """

    artifact: str
    number: int
    state: VersionState
    aliases: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    expires_ns: int | None = None
    purge_ns: int | None = None
    paths: tuple[str, ...] = ()
    more_paths: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedBlob:
    """A blob and what keeps it.

    Attributes:
        key: where it lies.
        size: its bytes, or None if it does not lie there.
        versions: versions that need it; those in the trash, too.
        sessions: ids of sessions of writers and readers that announced it.
        unreadable: ids of sessions that may have, since an intent of theirs is damaged; as long as
            one is there, no collection deletes anything.
        due_ns: if nothing keeps it, from when on a collection deletes it; None is at once.
    """

    key: str
    size: int | None
    versions: tuple[KeepingVersion, ...]
    sessions: tuple[str, ...]
    unreadable: tuple[str, ...]
    due_ns: int | None

    @property
    def is_kept(self) -> bool:
        """Whether anything keeps it."""
        return bool(self.versions or self.sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer: what was asked about, the version that it names, and blobs with their keepers.

    Attributes:
        text: the reference, path or key, in full.
        version: the version asked about, or that of the path; None for a blob.
        blobs: the blob asked about, or those that hold the path's bytes; empty for a version.
        damaged: what cannot be read, and might speak for it: of a version, aliases that may point at
            it and versions that may have been made from it; of blobs, versions that may need them.
    """

    subject: Subject
    text: str
    version: KeepingVersion | None
    blobs: tuple[ExplainedBlob, ...] = ()
    damaged: tuple[DamagedRecord, ...] = ()


def explain(parts: StoreParts, what: str) -> Explanation:
    """Say what keeps a version, a file of one (`name:v3/path`) or a blob (its id or key).

    Reads every record, and for a file or blob the pages of the store of which this machine has not
    noted yet which blobs they need. What of it is damaged is named, and the rest is told.

    Raises:
        NotFoundError: there is no such version, path or blob.
        InvalidInputError: it is neither a reference nor the beginning of an id.
        CorruptionError: the version or path itself cannot be read.
    """
    census = take_census(parts)
    blob = find_blob(parts, what, {str(name) for name in census.listings})
    if blob is not None:
        blobs, damaged = _explain_blobs(parts, census, [blob])
        return Explanation(
            subject=Subject.BLOB, text=blob.key, version=None, blobs=blobs, damaged=damaged
        )
    ref = Ref.parse(what)
    one = _find_version(parts, census, ref)
    version = _speak_for(one, _find_users(census))
    if ref.path:
        found = _blobs_of_path(parts, census, one, ref.path)
        blobs, damaged = _explain_blobs(parts, census, found)
        text = f"{one.ref}/{ref.path}"
        return Explanation(
            subject=Subject.PATH, text=text, version=version, blobs=blobs, damaged=damaged
        )
    damaged = tuple(
        record
        for record in census.damaged
        if record.hides_inputs or (record.alias is not None and record.artifact == one.name[0])
    )
    return Explanation(subject=Subject.VERSION, text=one.ref, version=version, damaged=damaged)


def _find_version(parts: StoreParts, census: Census, ref: Ref) -> CountedVersion:
    """Return the version that a reference names, hidden ones as well."""
    known = census.by_artifact().get(str(ref.artifact), [])
    found: Sequence[CountedVersion] = ()
    if ref.number is not None:
        found = [one for one in known if one.record.number == ref.number]
    elif ref.alias is not None:
        found = [one for one in known if str(ref.alias) in one.aliases]
    elif ref.digest_prefix is not None:
        found = [one for one in known if one.record.digest.hex.startswith(ref.digest_prefix)]
    if found:
        return found[-1]
    # Nothing of the kind, or the newest: the error says what there is.
    record = resolve_record(parts, ref).record
    return census.versions[str(record.artifact), record.number]


def _find_users(census: Census) -> Users:
    """Return which visible versions were made from each visible one."""
    inputs_of = census.inputs_of()
    users: Users = {}
    for user in census.versions.values():
        if user.is_live:
            for one in inputs_of(user):
                users.setdefault(one.name, []).append(user.ref)
    return users


def _speak_for(
    one: CountedVersion, users: Users, keepers: BlobKeepers | None = None
) -> KeepingVersion:
    is_trashed = one.state is VersionState.TRASHED and one.move is not None
    paths, more = keepers.paths.get(one.name, ((), 0)) if keepers else ((), 0)
    return KeepingVersion(
        artifact=one.name[0],
        number=one.name[1],
        state=one.state,
        aliases=one.aliases,
        protected=one.protected,
        users=tuple(users.get(one.name, ())),
        expires_ns=one.expires_ns,
        purge_ns=one.move.created_ns + TRASH_KEEP_NS if one.move and is_trashed else None,
        paths=paths,
        more_paths=more,
    )


def _blobs_of_path(
    parts: StoreParts, census: Census, one: CountedVersion, path: str
) -> list[StoredBlob]:
    root = read_root_location(parts.backend, census.listings[one.record.artifact], one.record)
    pages = VersionPages(parts, one.record, root)
    found = pages.find(path_to_bytes(path))
    if found is None:
        raise NotFoundError(
            f"{one.ref} holds no {path!r}",
            code=ErrorCode.PATH_NOT_FOUND,
            hint=f"cas ls {one.ref}",
        )
    page, row = found
    refs = [ref for ref, *_ in PageContents(page).extents(row) if ref is not None]
    if not refs:
        # It is inlined, or all zeros: the page itself is all there is.
        root_page = root_page_location(pages.root, find_page(pages.root, path_to_bytes(path)))
        return [StoredBlob.of_pages(root_page.blob_id)]
    return [StoredBlob.of_data(BlobId(raw)) for raw in dict.fromkeys(ref.blob_id for ref in refs)]


def _explain_blobs(
    parts: StoreParts, census: Census, blobs: Sequence[StoredBlob]
) -> tuple[tuple[ExplainedBlob, ...], tuple[DamagedRecord, ...]]:
    found, unreadable = find_keepers(parts, census, blobs)
    users = _find_users(census)
    explained = tuple(
        ExplainedBlob(
            key=keepers.blob.key,
            size=keepers.blob.size,
            versions=tuple(
                _speak_for(census.versions[name], users, keepers) for name in keepers.versions
            ),
            sessions=keepers.sessions,
            unreadable=keepers.unreadable,
            due_ns=keepers.due_ns,
        )
        for keepers in found
    )
    return explained, (*census.damaged_versions, *unreadable)

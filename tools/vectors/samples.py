"""The values of the vectors: one object of every kind and shape, the same on every run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from blake3 import blake3
from formats import ARTIFACT, NONCE, NUMBER, SESSION

from cas.format import (
    blob,
    collection,
    config,
    keys,
    manifest,
    segment,
    session,
    verification,
    version,
)
from cas.model.entry import EntryKind, PageLocation, Totals
from cas.model.ids import BlobId, PageId, SessionId, VersionDigest
from cas.model.names import AliasName, ArtifactName

STORE_ID = "00112233445566778899aabbccddeeff"
TIME_NS = 1_767_225_600_000_000_000


def digest(text: str) -> bytes:
    """Return 32 bytes that stand for `text`."""
    return blake3(text.encode()).digest()


def ids(*names: str) -> Any:
    """Return digests of names as uint8[n, 32], sorted."""
    joined = b"".join(sorted(map(digest, names)))
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)


def u32(*values: int) -> Any:
    """Return a column of 32-bit numbers."""
    return np.array(values, np.uint32)


def sample_blob() -> dict[str, Any]:
    """Two raw frames of three chunks."""
    chunks = [b"first chunk", b"second", b"third chunk of all"]
    payloads, counts = [chunks[0] + chunks[1], chunks[2]], [2, 1]
    chunk_ids = np.frombuffer(b"".join(blake3(c).digest() for c in chunks), np.uint8)
    lengths = [len(chunk) for chunk in chunks]
    table = blob.BlobTable(
        nonce=NONCE,
        session=SESSION,
        frame_offsets=u32(40, 40 + blob.frame_length(2, len(payloads[0]))),
        frame_stored=u32(*map(len, payloads)),
        frame_raw=u32(*map(len, payloads)),
        frame_codecs=np.zeros(2, np.uint8),
        frame_params=np.zeros(2, np.uint16),
        frame_chunks=np.array(counts, np.uint16),
        chunk_ids=chunk_ids.reshape(3, 32),
        chunk_lengths=u32(*lengths),
    )
    frames = [
        blob.Frame(
            0,
            0,
            len(payload),
            table.chunk_ids[a:b],
            table.chunk_lengths[a:b],
            memoryview(payload),
        )
        for payload, a, b in zip(payloads, (0, 2), (2, 3), strict=True)
    ]
    return {
        "header": blob.BlobHeader(blob.KIND_DATA, NONCE, SESSION),
        "table": table,
        "frames": frames,
    }


def sample_page() -> manifest.Page:
    """One entry of every kind and shape."""
    small, url = b"twelve bytes", b"s3://other-bucket/labels.csv"
    rows = [
        (b"bin/run", EntryKind.FILE, 1, 29, b"", [(0, 0, 2, 17), (0, 2, 1, 12)]),
        (b"empty", EntryKind.FILE, 0, 0, b"", []),
        (b"folder", EntryKind.DIRECTORY, 0, 0, b"", []),
        (b"labels.csv", EntryKind.EXTERNAL, 0, 1000, url, []),
        (b"latin-\xe9", EntryKind.FILE, 0, 12, small, []),
        (b"link", EntryKind.SYMLINK, 0, 7, b"bin/run", []),
        (
            b"sparse",
            EntryKind.FILE,
            0,
            1 << 33,
            b"",
            [(manifest.HOLE, 0, 0, (1 << 33) - 18), (1, 2, 1, 18)],
        ),
    ]
    extents = [extent for row in rows for extent in row[5]]
    hashes = [
        bytes(32)
        if kind is EntryKind.DIRECTORY
        else blake3(inline).digest()
        if size == len(inline)
        else digest(path.decode("latin-1"))
        for path, kind, _, size, inline, _ in rows
    ]
    return manifest.Page(
        paths=[row[0] for row in rows],
        kinds=np.array([row[1] for row in rows], np.uint8),
        modes=np.array([row[2] for row in rows], np.uint8),
        sizes=np.array([row[3] for row in rows], np.uint64),
        hashes=np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32),
        inline_lengths=u32(*[len(row[4]) for row in rows]),
        inline=b"".join(row[4] for row in rows),
        extent_counts=u32(*[len(row[5]) for row in rows]),
        extent_blobs=u32(*[one[0] for one in extents]),
        extent_first=u32(*[one[1] for one in extents]),
        extent_chunks=u32(*[one[2] for one in extents]),
        extent_lengths=np.array([one[3] for one in extents], np.uint64),
        blob_ids=ids("blob 1", "blob 2"),
        blob_sizes=u32(1 << 26, 5000),
        table_offsets=u32((1 << 26) - 40_000, 4000),
    )


def sample_root() -> manifest.Root:
    """The root of a version that has only the sample page."""
    page = sample_page()
    content = manifest.encode_page(page)
    builder = manifest.DigestBuilder()
    builder.add(page)
    return manifest.Root(
        digest=builder.digest(),
        totals=Totals(files=4, symlinks=1, directories=1, externals=1, size=29 + 12 + (1 << 33)),
        page_ids=np.frombuffer(blake3(content).digest(), np.uint8).reshape(1, 32),
        page_entries=u32(len(page.paths)),
        first_paths=page.paths[:1],
        page_blobs=u32(0),
        page_offsets=u32(40),
        page_lengths=u32(blob.frame_length(1, len(content))),
        blob_ids=ids("meta blob"),
        blob_sizes=u32(3000),
        table_offsets=u32(0),
    )


def grouped_root() -> manifest.Root:
    """The root of a version of digest 2 that has only the sample page."""
    builder = manifest.GroupDigestBuilder()
    builder.add(sample_page())
    stated = builder.stated()
    return replace(sample_root(), digest=stated.digest, groups=stated.groups)


def empty_grouped_root() -> manifest.Root:
    """The root of a version of digest 2 that holds nothing."""
    stated = manifest.GroupDigestBuilder().stated()
    return replace(empty_root(), digest=stated.digest, groups=stated.groups)


def own_root() -> manifest.Root:
    """The same root beside its page: the blob of both is listed as 32 zero bytes."""
    return replace(sample_root(), blob_ids=np.zeros((1, 32), np.uint8), blob_sizes=u32(0))


def empty_root() -> manifest.Root:
    """The root of a version that holds nothing."""
    return manifest.Root(
        digest=manifest.DigestBuilder().digest(),
        totals=Totals(files=0, symlinks=0, directories=0, externals=0, size=0),
        page_ids=ids(),
        page_entries=u32(),
        first_paths=[],
        page_blobs=u32(),
        page_offsets=u32(),
        page_lengths=u32(),
        blob_ids=ids(),
        blob_sizes=u32(),
        table_offsets=u32(),
    )


def location(name: str) -> PageLocation:
    """Return where a page called `name` might lie."""
    return PageLocation(
        page_id=PageId(digest(name)),
        blob_id=BlobId(digest(f"blob of {name}")),
        blob_size=70_000,
        offset=40,
        length=1234,
    )


def sample_version(extra: dict[str, Any] | None = None) -> version.VersionRecord:
    """A version with all its fields in use."""
    return version.VersionRecord(
        artifact=ARTIFACT,
        number=NUMBER,
        digest=sample_root().digest,
        totals=sample_root().totals,
        root=location("root"),
        parent=2,
        type="model",
        description="the tuned one",
        message="lower learning rate",
        metadata={"accuracy": 0.5, "classes": ["cat", "dog"], "epochs": 3, "note": None},
        inputs=(version.Lineage("imagenet", 0, VersionDigest(digest("input")), STORE_ID),),
        producer={"command": ["python", "train.py"], "host": "node-7"},
        created_ns=TIME_NS,
        session=SESSION,
        stamp=41,
        new_bytes=1_000_000,
        stored_bytes=600_000,
        extra=extra or {},
    )


def intent(*, final: bool) -> session.Intent:
    """An intent, with a slot if it is the final one."""
    return session.Intent(
        session=SESSION,
        k=1 if final else 0,
        final=final,
        artifact=str(ARTIFACT) if final else None,
        slot=NUMBER if final else None,
        revision=None,
        blob_ids=ids("blob 1", "blob 2").tobytes(),
        meta_ids=ids("meta blob").tobytes() if final else b"",
        pages=(location("root of v2"),) if final else (),
        stamp=41,
        created_ns=TIME_NS,
    )


def sample_segment() -> segment.Segment:
    """Five chunks of two blobs."""
    chunk_ids = ids(*(f"chunk {number}" for number in range(5)))
    return segment.Segment(
        stamp=41,
        session=SESSION,
        supersedes=(keys.segment_key(0, SESSION, 7),),
        blob_ids=ids("blob 1", "blob 2"),
        blob_sizes=u32(1 << 26, 5000),
        table_offsets=u32((1 << 26) - 40_000, 4000),
        keys=segment.chunk_keys(chunk_ids),
        values=u32(0, 1, 1, 0, 1),
    )


def sample_results() -> verification.ResultsRecord:
    """Two blobs, verified a day apart."""
    return verification.ResultsRecord(
        session=SESSION,
        supersedes=(SessionId(digest("mark")[:16]),),
        keys=segment.chunk_keys(ids("blob 1", "blob 2")),
        seconds=u32(TIME_NS // 10**9, TIME_NS // 10**9 - 86_400),
    )


def sample_damage() -> verification.DamageRecord:
    """A blob that is missing, one with two damaged chunks, and one of pages without a table."""
    u8 = np.uint8
    states = (
        verification.DamageState.MISSING,
        verification.DamageState.CHUNKS,
        verification.DamageState.TABLE,
    )
    return verification.DamageRecord(
        session=SESSION,
        supersedes=(),
        blob_ids=ids("blob 1", "blob 2", "meta blob"),
        kinds=np.array([0, 0, 1], u8),
        states=np.array(states, u8),
        chunk_counts=u32(0, 2, 0),
        chunks=u32(3, 16_383),
    )


def sample_config(extra: dict[str, Any] | None = None) -> config.StoreConfig:
    """A store with the sizes that `cas init` chooses."""
    return config.StoreConfig(
        store_id=STORE_ID,
        created_ns=TIME_NS,
        chunk_average=65536,
        create_if_absent=True,
        extra=extra or {},
    )


def make_values() -> dict[str, tuple[str, Any]]:
    """Return every vector: name, kind of object, value."""
    later = {"later": {"field": [1, b"\x02"]}}
    mark = SessionId(digest("mark")[:16])
    alias = version.AliasRecord(
        number=NUMBER, digest=sample_root().digest, created_ns=TIME_NS, session=mark
    )
    removed = version.AliasRecord(number=None, digest=None, created_ns=TIME_NS, session=mark)
    trash = version.MoveRecord(
        kind=version.MoveKind.TRASH, created_ns=TIME_NS, session=mark, reason="superseded"
    )
    expiry = version.ExpiryRecord(
        expires_ns=TIME_NS + 30 * 86_400 * 10**9, created_ns=TIME_NS, session=mark
    )
    revision = version.RevisionRecord(
        session=SESSION, root=location("repacked"), stamp=44, digest=sample_root().digest
    )
    condemned = ids(*(f"blob {number}" for number in range(4)))
    condemn = collection.CondemnRecord(42, mark, condemned)
    verdict = collection.VerdictRecord(42, condemned[1:3], all=False)
    abandoned = collection.VerdictRecord(43, condemned[:0], all=True)
    return {
        "config/plain": ("config", sample_config()),
        "config/later-field": ("config", sample_config({"later": [1, "x"]})),
        "blob/two-frames": ("blob", sample_blob()),
        "manifest/page": ("page", sample_page()),
        "manifest/root": ("root", sample_root()),
        "manifest/root-own-blob": ("root", own_root()),
        "manifest/root-empty": ("root", empty_root()),
        "manifest/root-groups": ("root", grouped_root()),
        "manifest/root-groups-empty": ("root", empty_grouped_root()),
        "version/version": ("slot", sample_version()),
        "version/version-later-field": ("slot", sample_version(later)),
        "version/version-expires": (
            "slot",
            replace(sample_version(), expires_ns=expiry.expires_ns),
        ),
        "version/void": ("slot", version.VoidRecord(SESSION)),
        "version/revision": ("revision", revision),
        "version/revision-void": ("revision", version.VoidRecord(SESSION)),
        "version/move-trash": ("move", trash),
        "version/alias": ("alias", alias),
        "version/alias-removed": ("alias", removed),
        "version/alias-protected": ("alias", replace(alias, protected=True)),
        "version/expiry": ("expiry", expiry),
        "version/expiry-never": ("expiry", replace(expiry, expires_ns=None)),
        "session/intent-plain": ("intent", intent(final=False)),
        "session/intent-final": ("intent", intent(final=True)),
        "collection/condemn": ("condemn", condemn),
        "collection/verdict": ("verdict", verdict),
        "collection/verdict-all": ("verdict", abandoned),
        "collection/done": ("done", 42),
        "collection/floor": ("floor", 40),
        "index/segment": ("segment", sample_segment()),
        "verification/results": ("results", sample_results()),
        "verification/damage": ("damage", sample_damage()),
    }


def make_keys() -> dict[str, str]:
    """Return keys by what they name."""
    dotted, device = ArtifactName("a.b/c+d."), ArtifactName("con.v2")
    return {
        "config": keys.CONFIG,
        "data blob": keys.blob_key(BlobId(digest("blob 1"))),
        "meta blob": keys.meta_key(BlobId(digest("meta blob"))),
        "slot 3 of team/bert": keys.version_key(ARTIFACT, NUMBER),
        "slot 0 of a.b/c+d.": keys.version_key(dotted, 0),
        "slot 0 of con.v2": keys.version_key(device, 0),
        "revision 1 of it": keys.revision_key(ARTIFACT, NUMBER, 1),
        "move 2 of it": keys.move_key(ARTIFACT, NUMBER, 2),
        "generation 5 of alias prod": keys.alias_key(ARTIFACT, AliasName("prod"), 5),
        "intent 0": keys.intent_key(SESSION, 0),
        "segment 7 of level 0": keys.segment_key(0, SESSION, 7),
        "candidates of run 42": keys.condemn_key(42),
        "verdict of run 42": keys.verdict_key(42),
        "end of run 42": keys.done_key(42),
        "floor 40": keys.floor_key(40),
    }


def make_paging() -> dict[str, Any]:
    """Return where the paths `train/0000000.jpg`, … are cut into pages."""
    paths = [b"train/%07d.jpg" % number for number in range(40_000)]
    return {
        "paths": "train/%07d.jpg",
        "count": len(paths),
        "ends": manifest.split_paths(paths),
        "ends_if_each_weighs_1000": manifest.split_paths(paths, np.full(len(paths), 1000)),
    }

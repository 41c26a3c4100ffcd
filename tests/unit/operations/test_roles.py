"""The policies of specs/roles.md suffice for what they are for, and for no more."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import cas
from cas.backend.base import Buffer, Capabilities, StoredObject
from cas.backend.memory import MemoryBackend
from cas.environment import SystemClock
from cas.errors import BackendError, ErrorCode
from cas.operations.diagnosis import Role
from cas.operations.examine_store import StoreExamination
from cas.operations.init import init_store
from cas.operations.retention import plan_retention
from cas.testing.trees import write_tree

PAGE = Path(__file__).parents[3] / "specs" / "roles.md"
ROLES = ("Reader", "Writer", "Collector")


def as_list(value):
    return value if isinstance(value, list) else [value]


def policy_of(role: str) -> list[dict]:
    """Return the statements of the policy that follows the role's name on the page."""
    found = re.search(rf"^{role}:\n\n```json\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return json.loads(found.group(1))["Statement"]


class PolicyBackend(MemoryBackend):
    """A bucket that obeys a policy of IAM; as on GCS, replacing an object takes the right to delete."""

    capabilities = Capabilities(create_if_absent=True, atomic_listing=True, local=False)

    def __init__(self, statements: list[dict], objects: dict[str, bytes]) -> None:
        super().__init__("bucket")
        self._statements = statements
        self._objects = objects

    def _check(self, action: str, key: str) -> None:
        listing = action == "s3:ListBucket"
        resource = "arn:aws:s3:::BUCKET" if listing else f"arn:aws:s3:::BUCKET/PREFIX/{key}"
        denied = [one for one in self._statements if one["Effect"] == "Deny"]
        for statement in denied:
            if action in as_list(statement["Action"]) and fnmatch.fnmatchcase(
                resource, statement["Resource"]
            ):
                raise BackendError(f"{key}: access denied", code=ErrorCode.ACCESS_DENIED)
        for statement in (one for one in self._statements if one not in denied):
            assert statement["Effect"] == "Allow"
            condition = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", "*")
            if (
                action in as_list(statement["Action"])
                and fnmatch.fnmatchcase(resource, statement["Resource"])
                and (not listing or fnmatch.fnmatchcase(f"PREFIX/{key}/", condition))
            ):
                return
        raise BackendError(f"{key}: access denied", code=ErrorCode.ACCESS_DENIED)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        self._check("s3:GetObject", key)
        return super().get(key, start, stop)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        self._check("s3:PutObject", key)
        if key in self._objects:
            self._check("s3:DeleteObject", key)
        super().put(key, parts)

    def create(self, key: str, content: bytes) -> None:
        self._check("s3:PutObject", key)
        super().create(key, content)

    def delete(self, key: str) -> None:
        self._check("s3:DeleteObject", key)
        super().delete(key)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        self._check("s3:ListBucket", prefix)
        return super().list_objects(prefix)

    def list_folders(self, prefix: str) -> list[str]:
        self._check("s3:ListBucket", prefix)
        return super().list_folders(prefix)


@pytest.fixture
def objects():
    """What lies in the bucket, whoever looks."""
    return {}


@pytest.fixture
def source(tmp_path):
    write_tree(tmp_path / "data", {b"a": b"alpha" * 1000, b"b": b"beta" * 1000})
    return tmp_path / "data"


@pytest.fixture
def options(tmp_path):
    return cas.StoreOptions(cache_dir=str(tmp_path / "cache"))


def enter(role: str, objects, options) -> cas.Store:
    return cas.Store.on(PolicyBackend(policy_of(role), objects), options=options)


def test_a_writer_needs_no_right_to_erase(objects, source, options, tmp_path):
    """Creating a store, putting, tagging, and the trash; and it leaves no intent behind."""
    init_store(PolicyBackend(policy_of("Writer"), objects), SystemClock(), chunk_average=1 << 16)
    store = enter("Writer", objects, options)

    store.put(source, "digits")
    (source / "c").write_bytes(b"gamma" * 1000)
    second = store.put(source, "digits")
    store.tag("digits:v0", ["best"])
    store.untag("digits", ["best"])
    store.set_ttl("digits:v0", "30d")
    store.tag("digits:v1", ["best"], protect=True)
    store.delete("digits:v0")
    store.restore("digits:v0")
    store.prune("digits", cas.KeepRules(last=1))
    got = store.get("digits:v1", tmp_path / "copy")

    assert (second.number, got.files) == (1, 3)
    assert [key for key in objects if key.startswith("sessions/")] == []


def test_a_writer_repacks_and_pins(objects, source, options, tmp_path):
    """Both make objects, and delete none but intents; what is dead is left to a collector."""
    init_store(PolicyBackend(policy_of("Writer"), objects), SystemClock(), chunk_average=1 << 16)
    store = enter("Writer", objects, options)
    for name in "cdefgh":
        (source / name).write_bytes(name.encode() * 20_000)
    store.put(source, "digits")
    for name in "cdefgh":
        (source / name).unlink()
    store.put(source, "digits")
    store.delete("digits:v0", now=True)
    before = set(objects)

    outcome = store.repack(cas.RepackOptions(limits=cas.RepackLimits(live_share=1.0)))
    with store.pin("digits:v1") as version:
        assert version.read("a") == b"alpha" * 1000

    assert (len(outcome.plan.data), outcome.revised) == (1, 1)
    assert before <= set(objects)
    assert [key for key in objects if key.startswith("sessions/")] == []


def test_only_a_collector_erases(objects, source, options):
    """It frees what a writer purged, whom the first delete would be refused."""
    init_store(PolicyBackend(policy_of("Writer"), objects), SystemClock(), chunk_average=1 << 16)
    writer = enter("Writer", objects, options)
    writer.put(source, "digits")
    writer.delete("digits:v0", now=True)
    erase = cas.CollectOptions(overrides=frozenset({cas.BrakeKind.TOO_MUCH}))

    with pytest.raises(BackendError) as caught:
        writer.collect_garbage(erase)
    freed = enter("Collector", objects, options).collect_garbage(erase)

    assert caught.value.code is ErrorCode.ACCESS_DENIED
    assert freed.deleted.blobs == 2
    assert freed.ended_runs == (1,)
    assert [key for key in objects if key.startswith(("blobs/", "meta/"))] == []


def test_a_writer_verifies_and_repairs(objects, source, options, tmp_path):
    """Damage and results are remembered without a right to erase; nothing is replaced."""
    init_store(PolicyBackend(policy_of("Writer"), objects), SystemClock(), chunk_average=1 << 16)
    (source / "big").write_bytes(bytes(range(256)) * 1000)
    enter("Writer", objects, options).put(source, "digits")
    key = next(key for key in objects if key.startswith("blobs/"))
    whole = objects[key]
    objects[key] = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    data = cas.VerifyOptions(level=cas.VerifyLevel.DATA)
    assert not enter("Writer", objects, options).verify(None, data).is_sound
    kept = dict(objects)
    apply = cas.RepairOptions(paths=(str(source),), apply=True)

    assert enter("Writer", objects, options).repair(None, apply).is_whole

    assert kept.items() <= objects.items()
    store = enter("Writer", objects, options)
    assert (store.verify(None, data).is_sound, store.put(source, "digits").healed) == (True, False)
    assert store.get("digits:v0", tmp_path / "copy").files == 3


def test_a_reader_reads_and_no_more(objects, source, options, tmp_path):
    """Everything that shows; nothing that changes the store."""
    init_store(PolicyBackend(policy_of("Writer"), objects), SystemClock(), chunk_average=1 << 16)
    enter("Writer", objects, options).put(source, "digits")
    before = dict(objects)
    store = enter("Reader", objects, options)

    assert store.get("digits:v0", tmp_path / "copy").files == 2
    assert [version.number for version in store.versions("digits")] == [0]
    assert store.diff("digits:v0", "digits:latest").is_empty
    assert store.usage().versions
    assert store.explain("digits:v0/a").blobs
    assert store.verify(None, cas.VerifyOptions(level=cas.VerifyLevel.DATA)).is_sound
    assert store.repair().is_whole
    assert store.plan_delete("digits", now=True).versions
    assert store.plan_repack().is_empty
    assert store.plan_prune("digits", cas.KeepRules(last=1)).going == ()
    assert plan_retention(store.parts, cas.RetentionPolicy()).purge == ()
    assert store.plan_collection().garbage.blobs == 0
    (source / "c").write_bytes(b"gamma")
    with pytest.raises(BackendError) as caught:
        store.put(source, "digits")
    assert caught.value.code is ErrorCode.ACCESS_DENIED
    assert objects == before


def test_a_writer_can_be_kept_from_letting_versions_go(objects, source, options, tmp_path):
    """With one statement more it publishes, tags and reads, and can neither trash nor purge."""
    found = re.search(r'```json\n(\{\n  "Sid": "MoveNoVersion".*?)```', PAGE.read_text(), re.DOTALL)
    statements = [*policy_of("Writer"), json.loads(found.group(1))]
    init_store(PolicyBackend(statements, objects), SystemClock(), chunk_average=1 << 16)
    store = cas.Store.on(PolicyBackend(statements, objects), options=options)

    store.put(source, "digits")
    store.tag("digits:v0", ["best"])
    got = store.get("digits:v0", tmp_path / "copy")

    assert got.files == 2
    for act in (
        lambda: store.delete("digits:v0", force=True),
        lambda: store.delete("digits", now=True, force=True),
    ):
        with pytest.raises(BackendError) as caught:
            act()
        assert caught.value.code is ErrorCode.ACCESS_DENIED
    assert [one.number for one in store.versions("digits")] == [0]


@pytest.mark.parametrize("role", ROLES)
def test_the_doctor_tells_the_roles_apart(role, objects):
    """By what is allowed, and it leaves nothing behind."""
    init_store(PolicyBackend(policy_of("Collector"), objects), SystemClock(), chunk_average=1 << 16)
    before = dict(objects)
    examination = StoreExamination(PolicyBackend(policy_of(role), objects), read_only=False)

    checks = {check.name: check for check in examination.run()}

    order = [Role.READER, Role.WRITER, Role.COLLECTOR]
    assert list(examination.roles) == order[: ROLES.index(role) + 1]
    assert {name for name, check in checks.items() if check.state == "failed"} == (
        {"put"} if role == "Reader" else set()
    )
    if role == "Reader":
        assert "--read-only" in checks["put"].hint
    assert objects == before

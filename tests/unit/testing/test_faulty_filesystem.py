"""FaultyFileSystem does exactly the harm that it is asked for, and looks like a driver doing it."""

from __future__ import annotations

import errno
import pickle

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from cas.backend.fsspec_backend import FsspecBackend
from cas.backend.open import open_backend
from cas.backend.retrying import PERMANENT
from cas.errors import AlreadyExistsError, BackendError, ErrorCode
from cas.testing.driver_errors import REFUSALS, THROTTLES, TIMEOUTS, TRANSIENT_ERRORS
from cas.testing.fault_plan import CrashError, Fault, FaultPlan
from cas.testing.faulty_filesystem import FaultyFileSystem

CONTENT = bytes(range(200))


class Memory(MemoryFileSystem):
    """A memory of its own; fsspec's is one for the whole interpreter."""

    cachable = False

    def __init__(self, **options):
        super().__init__(**options)
        self.store = {}
        self.pseudo_dirs = [""]


@pytest.fixture
def truth():
    return Memory()


@pytest.fixture
def plan():
    return FaultPlan()


@pytest.fixture
def faulty(truth, plan):
    return FaultyFileSystem(truth, plan=plan)


@pytest.fixture
def backend(faulty):
    return FsspecBackend(faulty, "/root", url="faulty://root")


def test_without_faults_it_is_what_it_wraps(faulty, truth):
    """What goes in is there, for both, and the log has every operation."""
    faulty.pipe_file("/b/one", CONTENT)
    faulty.cp_file("/b/one", "/b/two")
    faulty.mv("/b/two", "/b/c/three")

    assert truth.cat_file("/b/one") == faulty.cat_file("/b/one") == CONTENT
    assert faulty.cat_file("/b/one", start=3, end=5) == CONTENT[3:5]
    assert faulty.find("/b") == ["/b/c/three", "/b/one"]
    assert faulty.ls("/b", detail=False) == ["/b/c", "/b/one"]
    assert faulty.info("/b/one")["size"] == 200
    with faulty.open("/b/one") as opened:
        assert opened.read() == CONTENT
    assert {one.kind for one in faulty.plan.log} >= {"pipe_file", "cp_file", "mv", "find", "open"}


def test_it_passes_for_the_filesystem_that_it_wraps(backend, tmp_path):
    """What a backend may claim rests on the protocol."""
    local = FsspecBackend(FaultyFileSystem(LocalFileSystem()), f"{tmp_path}", url="x://y")

    assert backend.capabilities.create_if_absent
    assert backend.capabilities.atomic_listing
    assert not local.capabilities.create_if_absent


@pytest.mark.parametrize(
    ("fault", "is_stored"), [(Fault.FAIL_BEFORE, False), (Fault.FAIL_AFTER, True)]
)
@pytest.mark.parametrize("name", TRANSIENT_ERRORS)
def test_every_error_of_a_driver_becomes_a_backend_error(truth, name, fault, is_stored):
    """Whatever happened, no exception of a driver comes through and the message names the key."""
    faulty = FaultyFileSystem(
        truth, plan=FaultPlan(rate=1.0, faults=[fault]), errors=[TRANSIENT_ERRORS[name]]
    )
    backend = FsspecBackend(faulty, "/root", url="faulty://root")
    truth.pipe_file("/root/there", b"x")

    for call in (
        lambda: backend.put("key", [b"x"]),
        lambda: backend.create("new", b"x"),
        lambda: backend.get("there"),
        lambda: backend.get("there", 0, 1),
        lambda: list(backend.list_objects("folder")),
        lambda: backend.list_folders("folder"),
        lambda: backend.delete("key"),
    ):
        with pytest.raises(
            BackendError, match=r"faulty://root/(key|new|there|folder): ."
        ) as caught:
            call()
        assert caught.value.__cause__ is not None
    assert truth.exists("/root/new") == is_stored


@pytest.mark.parametrize("name", TRANSIENT_ERRORS)
def test_what_may_pass_is_told_from_what_stays(truth, name):
    """None of these errors is taken for one that is not worth another try, throttling is known."""
    plan = FaultPlan().fail_at(1, Fault.FAIL_BEFORE)
    faulty = FaultyFileSystem(truth, plan=plan, errors=[TRANSIENT_ERRORS[name]])

    with pytest.raises(BackendError) as caught:
        FsspecBackend(faulty, "/root", url="faulty://root").get("key")

    assert caught.value.code not in PERMANENT
    assert (caught.value.code is ErrorCode.THROTTLED) == (name in THROTTLES)


def test_one_error_can_be_chosen(truth):
    """A test of throttling meets nothing else."""
    plan = FaultPlan(rate=1.0, faults=[Fault.FAIL_BEFORE])
    faulty = FaultyFileSystem(truth, plan=plan, errors=[THROTTLES["slow down"]])

    with pytest.raises(OSError, match="reduce your request rate") as caught:
        faulty.cat_file("/key")

    assert caught.value.errno == errno.EBUSY
    assert caught.value.__cause__.response["Error"]["Code"] == "SlowDown"


def test_one_plan_can_raise_many_errors(truth):
    """Which one is chance, the same for the same seed."""

    def names(seed):
        plan = FaultPlan(seed=seed, rate=1.0, faults=[Fault.FAIL_BEFORE])
        faulty = FaultyFileSystem(truth, plan=plan, errors=[*TIMEOUTS.values(), OSError])
        found = []
        for _ in range(30):
            try:
                faulty.cat_file("/key")
            except Exception as error:  # noqa: BLE001 - any is meant
                found.append(type(error).__name__)
        return found

    assert names(1) == names(1)
    assert set(names(1)) == {"TimeoutError", "ReadTimeoutError", "OSError"}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_ones_own_success_can_be_reported_as_anothers(truth, refusal, monkeypatch):
    """In each of the shapes in which servers say "exists"."""
    monkeypatch.setattr("cas.testing.faulty_filesystem.REFUSALS", {refusal: REFUSALS[refusal]})
    plan = FaultPlan().fail_nth("create", 1, Fault.EXISTS_AFTER)
    backend = FsspecBackend(FaultyFileSystem(truth, plan=plan), "/root", url="faulty://root")

    with pytest.raises(AlreadyExistsError):
        backend.create("key", b"x")

    assert backend.get("key") == b"x"


def test_a_cut_read_is_a_part_of_the_truth(faulty, plan, truth):
    """Fewer bytes than there are, and no error."""
    truth.pipe_file("/key", CONTENT)
    plan.fail_nth("cat_file", 1, Fault.CUT)

    content = faulty.cat_file("/key")

    assert len(content) < len(CONTENT)
    assert CONTENT.startswith(content)
    assert faulty.cat_file("/key") == CONTENT


def test_a_long_read_is_refused_by_the_backend(backend, plan):
    """More bytes than asked for may be from anywhere."""
    backend.put("key", [CONTENT])
    plan.fail_nth("cat_file", 1, Fault.LONG)

    with pytest.raises(BackendError, match="10 bytes asked for"):
        backend.get("key", 0, 10)


def test_a_wrong_read_has_one_wrong_bit(faulty, plan, truth):
    """The length is right, the content is not."""
    truth.pipe_file("/key", CONTENT)
    plan.fail_nth("cat_file", 1, Fault.WRONG)

    content = faulty.cat_file("/key")

    wrong = [a ^ b for a, b in zip(content, CONTENT, strict=True) if a != b]
    assert [one.bit_count() for one in wrong] == [1]


def test_a_short_listing_says_nothing(backend, plan):
    """The second half is left out, objects and folders alike."""
    for name in "abcd":
        backend.put(f"{name}/key", [b"x"])
    plan.fail_nth("find", 1, Fault.SHORT).fail_nth("ls", 1, Fault.SHORT)

    assert sorted(one.key for one in backend.list_objects("")) == ["a/key", "b/key"]
    assert len(backend.list_folders("")) == 2
    assert len(list(backend.list_objects(""))) == 4


def test_a_lost_delete_is_answered_as_done(backend, plan):
    """The object is still there."""
    backend.put("key", [b"x"])
    plan.fail_nth("rm_file", 1, Fault.LOST)
    backend.delete("key")

    assert backend.get("key") == b"x"


def test_late_writes_and_deletes_come_when_they_are_let_go(backend, plan, truth):
    """After what came since; a late create that finds the key taken changes nothing."""
    backend.put("gone", [b"x"])
    plan.fail_nth("pipe_file", 2, Fault.LATE).fail_nth("create", 1, Fault.LATE)
    plan.fail_nth("rm_file", 1, Fault.LATE)
    for call in (
        lambda: backend.put("put", [b"late"]),
        lambda: backend.create("created", b"late"),
        lambda: backend.delete("gone"),
    ):
        with pytest.raises(BackendError):
            call()
    assert set(truth.find("/root")) == {"/root/gone"}
    backend.create("created", b"first")

    assert plan.deliver_late() == 3
    assert {one.key for one in backend.list_objects("")} == {"put", "created"}
    assert backend.get("created") == b"first"


def test_a_slow_answer_comes_after_the_pause(truth):
    """What it waits for is the test's to say."""
    waited = []
    plan = FaultPlan(pause=lambda: waited.append("waited")).fail_nth("cat_file", 1, Fault.SLOW)
    truth.pipe_file("/key", CONTENT)

    assert FaultyFileSystem(truth, plan=plan).cat_file("/key") == CONTENT
    assert waited == ["waited"]


@pytest.mark.parametrize(("fault", "left"), [(Fault.CRASH_BEFORE, 1), (Fault.CRASH_AFTER, 2)])
def test_a_crash_ends_the_process(backend, plan, truth, fault, left):
    """Nothing translates or survives it, and nothing works afterwards."""
    plan.fail_at(2, fault)
    backend.put("one", [b"x"])
    with pytest.raises(CrashError):
        backend.put("two", [b"x"])

    assert len(truth.find("/root")) == left
    with pytest.raises(CrashError):
        backend.get("one")


def test_a_script_can_name_keys(backend, plan):
    """Only operations on such keys count."""
    plan.fail_nth("pipe_file", 2, Fault.FAIL_BEFORE, key="b/")
    for key in ("a/1", "b/1", "a/2"):
        backend.put(key, [b"x"])

    with pytest.raises(BackendError):
        backend.put("b/2", [b"x"])


def test_a_walk_is_one_operation_a_folder(tmp_path, plan):
    """Where a driver has no listing of its own, each folder is a request."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x")

    class Walking(LocalFileSystem):
        """Like sftp: everything goes by `ls`."""

        find = AbstractFileSystem.find

    found = FaultyFileSystem(Walking(), plan=plan).find(str(tmp_path))

    assert found == [str(tmp_path / "a" / "b" / "file")]
    assert [one.kind for one in plan.log] == ["ls"] * 3


def test_a_listing_of_a_drivers_own_is_one_operation(plan):
    """Drivers like s3fs write the asynchronous half only."""

    class Listing(AsyncFileSystem):
        """An object store with one object in it."""

        cachable = False

        async def _find(self, path, maxdepth=None, withdirs=False, **kwargs):
            return {"b/deep/key": {"name": "b/deep/key", "size": 1, "type": "file"}}

    found = FaultyFileSystem(Listing(), plan=plan).find("b", detail=True)

    assert list(found) == ["b/deep/key"]
    assert [one.kind for one in plan.log] == ["find"]


def test_a_url_opens_it_once_it_is_registered(truth, plan):
    """Storage options carry the plan and the filesystem that it wraps."""
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
    options = {"fs": truth, "plan": plan.fail_nth("pipe_file", 2, Fault.FAIL_BEFORE)}

    with open_backend("faulty://bucket/root", options) as backend:
        backend.put("key", [b"x"])
        with pytest.raises(BackendError, match="faulty://bucket/root/other"):
            backend.put("other", [b"x"])

    assert truth.find("") == ["/bucket/root/key"]
    assert [one.key for one in plan.log] == ["bucket/root/key", "bucket/root/other"]


def test_a_pickled_copy_keeps_its_chances():
    """Seed, rate and kinds travel; the script and the log do not."""
    plan = FaultPlan(rate=1.0, faults=[Fault.FAIL_BEFORE])

    copy = pickle.loads(pickle.dumps(FaultyFileSystem(MemoryFileSystem(), plan=plan)))

    with pytest.raises(Exception, match=r"."):
        copy.cat_file("/key")
    assert copy.plan.operations == 1

"""The suite that every backend must pass. Subclass it and give it a `backend` fixture.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def backend(self): ...

The fixture yields an empty backend. Spec: specs/protocol/backend.md; the numbers are its claims.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cas.backend.base import Backend, StoredObject, create_confirmed
from cas.backend.bulk import delete_many
from cas.backend.probe import probe_create_if_absent
from cas.errors import AlreadyExistsError, ErrorCode, InvalidInputError, NotFoundError

_THREADS = 6
_ODD_KEYS = (
    "one",
    "team%2Fbert/versions/0000000001",
    "with space/and ünïcode",
    "a+b/c=d,e;f@g",
    "deep/er/and/deep/er/still",
    "dots/...x",
)
_BAD_KEYS = (
    "",
    "/absolute",
    "a//b",
    "a/",
    "../out",
    "a/../b",
    "./a",
    "a/.",
    "nul\0",
    "back\\slash",
)


def _together(*calls: Callable[[], object]) -> list[object]:
    """Run calls at the same time; return what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the error is the answer
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


class ObjectContract:
    """Put, get and delete."""

    def test_an_object_is_the_parts_one_after_the_other(self, backend: Backend) -> None:
        """Parts of every kind of buffer, empty ones too, become one object."""
        backend.put("a/key", [b"one", bytearray(b"two"), b"", memoryview(b"-three-")[1:-1]])

        assert backend.get("a/key") == b"onetwothree"

    def test_thousands_of_parts_are_stored_in_order(self, backend: Backend) -> None:
        """More parts than one system call takes lose nothing."""
        parts = [b"%d," % number for number in range(2500)]

        backend.put("many", parts)

        assert backend.get("many") == b"".join(parts)

    @pytest.mark.parametrize("parts", [[], [b""]], ids=["no part", "an empty part"])
    def test_an_object_may_be_empty(self, backend: Backend, parts: list[bytes]) -> None:
        """An empty object exists, is listed, and reads as nothing in every way."""
        backend.put("empty", parts)

        assert backend.get("empty") == b""
        assert backend.get("empty", 0, 10) == b""
        assert list(backend.list_objects("")) == [StoredObject("empty", 0)]

    def test_put_replaces_what_was_there(self, backend: Backend) -> None:
        """A shorter object leaves nothing of the longer one."""
        backend.put("key", [b"long and old"])
        backend.put("key", [b"new"])

        assert backend.get("key") == b"new"
        assert list(backend.list_objects("")) == [StoredObject("key", 3)]

    def test_a_range_is_the_slice_of_the_object(self, backend: Backend) -> None:
        """Any range gives what slicing gives; one past the end gives what there is."""
        content = bytes(range(20))
        backend.put("key", [content])
        limits = [0, 1, 7, 19, 20, 21, 1 << 20]
        asked = [(start, stop) for start in limits for stop in [*limits, None]]

        answers = {limit: backend.get("key", *limit) for limit in asked}

        assert answers == {(start, stop): content[start:stop] for start, stop in asked}

    @pytest.mark.parametrize("key", ["absent", "folder/absent", "folder", "file/below"])
    def test_an_absent_object_is_not_found(self, backend: Backend, key: str) -> None:
        """Neither a folder nor a name below an object is an object, whole or in part."""
        backend.put("folder/here", [b"x"])
        backend.put("file", [b"x"])

        for limits in ((0, None), (0, 1), (5, None)):
            with pytest.raises(NotFoundError) as caught:
                backend.get(key, *limits)
            assert caught.value.code is ErrorCode.OBJECT_NOT_FOUND

    def test_a_deleted_object_is_gone(self, backend: Backend) -> None:
        """It is neither found nor listed, its neighbours stay, and it can come back."""
        backend.put("a/one", [b"1"])
        backend.put("a/two", [b"2"])
        backend.delete("a/one")
        backend.delete("a/one")

        with pytest.raises(NotFoundError):
            backend.get("a/one")
        assert list(backend.list_objects("a")) == [StoredObject("a/two", 1)]
        backend.delete("a/two")
        assert list(backend.list_objects("a")) == []
        backend.put("a/one", [b"again"])
        assert backend.get("a/one") == b"again"

    @pytest.mark.parametrize("key", ["absent", "no/such/folder", "file/below", "folder"])
    def test_deleting_what_is_not_there_is_fine(self, backend: Backend, key: str) -> None:
        """Nothing happens, to no one."""
        backend.put("folder/here", [b"x"])
        backend.put("file", [b"x"])

        backend.delete(key)

        assert sorted(backend.list_objects("")) == [
            StoredObject("file", 1),
            StoredObject("folder/here", 1),
        ]

    def test_many_objects_are_deleted_as_one_is(self, backend: Backend) -> None:
        """Those that are not there do not matter, and their neighbours stay."""
        for number in range(5):
            backend.put(f"folder/{number}", [b"x"])

        delete_many(backend, [f"folder/{number}" for number in (0, 1, 3, 7)])

        left = sorted(one.key for one in backend.list_objects("folder"))
        assert left == ["folder/2", "folder/4"]

    def test_odd_keys_are_kept_as_they_are(self, backend: Backend) -> None:
        """Percent signs, spaces, letters of any language and dots come back unchanged."""
        for key in _ODD_KEYS:
            backend.put(key, [key.encode()])

        assert {found.key for found in backend.list_objects("")} == set(_ODD_KEYS)
        assert [backend.get(key).decode() for key in _ODD_KEYS] == list(_ODD_KEYS)

    @pytest.mark.parametrize("key", _BAD_KEYS)
    def test_a_key_cannot_leave_the_store(self, backend: Backend, key: str) -> None:
        """Keys that are no plain relative paths are refused by every method."""
        for call in (
            lambda: backend.get(key),
            lambda: backend.put(key, [b""]),
            lambda: backend.create(key, b""),
            lambda: backend.delete(key),
            lambda: list(backend.list_objects(key or "/")),
            lambda: backend.list_folders(key or "/"),
        ):
            with pytest.raises(InvalidInputError):
                call()


class CreateContract:
    """Create-if-absent, on which every commit rests."""

    def test_create_stores_what_put_would(self, backend: Backend) -> None:
        """A created object is read and listed like any other."""
        backend.create("a/new", b"content")

        assert backend.get("a/new") == b"content"
        assert list(backend.list_objects("a")) == [StoredObject("a/new", 7)]

    @pytest.mark.parametrize("content", [b"first", b"second", b""])
    def test_create_never_replaces(self, backend: Backend, content: bytes) -> None:
        """A second create is refused, whatever its content, and changes nothing."""
        backend.create("key", b"first")

        with pytest.raises(AlreadyExistsError) as caught:
            backend.create("key", content)

        assert caught.value.code is ErrorCode.OBJECT_EXISTS
        assert backend.get("key") == b"first"

    def test_create_refuses_an_object_that_was_put(self, backend: Backend) -> None:
        """It does not matter how the object came there, nor that it is empty."""
        backend.put("key", [])

        with pytest.raises(AlreadyExistsError):
            backend.create("key", b"second")

        assert backend.get("key") == b""

    def test_a_deleted_key_can_be_created_again(self, backend: Backend) -> None:
        """Only what is there now counts."""
        backend.create("a/key", b"first")
        backend.delete("a/key")
        backend.create("a/key", b"second")

        assert backend.get("a/key") == b"second"

    def test_one_of_many_racing_creates_wins(self, backend: Backend) -> None:
        """In each round one caller returns, all others are refused, its bytes stand there."""
        for turn in range(8):
            key = f"races/{turn}"
            contents = [b"%d" % racer * 1000 for racer in range(_THREADS)]

            answers = _together(
                *(lambda k=key, c=content: backend.create(k, c) for content in contents)
            )

            winners = [c for c, answer in zip(contents, answers, strict=True) if answer is None]
            losers = [answer for answer in answers if isinstance(answer, AlreadyExistsError)]
            assert (len(winners), len(losers)) == (1, _THREADS - 1)
            assert backend.get(key) == winners[0]

    def test_racers_agree_on_what_was_created(self, backend: Backend) -> None:
        """Every racing `create_confirmed` returns the same bytes, those that stand there."""
        contents = [b"%d" % racer for racer in range(_THREADS)]

        answers = _together(
            *(lambda c=content: create_confirmed(backend, "key", c) for content in contents)
        )

        assert set(answers) == {backend.get("key")}

    def test_the_probe_finds_the_guarantee(self, backend: Backend) -> None:
        """The probe says what the backend claims and leaves nothing behind."""
        assert probe_create_if_absent(backend, "probe/key")
        assert list(backend.list_objects("")) == []


class ListingContract:
    """Listings, of which collection and commits believe every word."""

    def test_a_listing_goes_to_any_depth(self, backend: Backend) -> None:
        """All objects under the folder are listed with their sizes, nothing else is."""
        sizes = {"a/x": 1, "a/b/y": 2, "a/b/c/d/z": 3, "ab/x": 4, "a.b/x": 5, "b": 6}
        for key, size in sizes.items():
            backend.put(key, [bytes(size)])

        def listed(prefix: str) -> dict[str, int]:
            return {found.key: found.size for found in backend.list_objects(prefix)}

        assert listed("") == sizes
        assert listed("a") == {"a/x": 1, "a/b/y": 2, "a/b/c/d/z": 3}
        assert listed("a/b") == {"a/b/y": 2, "a/b/c/d/z": 3}
        assert [listed(prefix) for prefix in ("b", "a/x", "absent", "a/absent/x")] == [{}] * 4

    def test_folders_are_those_right_below(self, backend: Backend) -> None:
        """Names are sorted, without repeats, and objects are not among them."""
        for key in ("f/b/1", "f/b/2", "f/a/deep/3", "f/object", "g/4", "top"):
            backend.put(key, [b"x"])

        answers = {p: backend.list_folders(p) for p in ("", "f", "f/a", "f/b", "top", "absent")}

        assert answers == {
            "": ["f", "g"],
            "f": ["a", "b"],
            "f/a": ["deep"],
            "f/b": [],
            "top": [],
            "absent": [],
        }

    def test_an_empty_store_lists_nothing(self, backend: Backend) -> None:
        """Before the first put there is nothing, and nothing fails."""
        assert list(backend.list_objects("")) == []
        assert backend.list_folders("") == []

    def test_thousands_of_objects_are_all_listed(self, backend: Backend) -> None:
        """A listing of more than one page is complete."""
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(lambda n: backend.put(f"many/{n % 7}/{n}", [b"x"]), range(1100)))

        assert len({found.key for found in backend.list_objects("many")}) == 1100


class SharingContract:
    """Threads and processes."""

    def test_a_reader_sees_an_object_whole(self, backend: Backend) -> None:
        """While an object is replaced again and again, each read is one of its states."""
        states = [bytes([number]) * (50_000 + 1000 * number) for number in range(8)]
        backend.put("key", [states[0]])

        def write() -> None:
            for state in states:
                backend.put("key", [state[:1000], state[1000:]])

        def read() -> set[bytes]:
            return {backend.get("key") for _ in range(30)}

        def list_sizes() -> set[int]:
            return {found.size for _ in range(30) for found in backend.list_objects("")}

        _, first, second, sizes = _together(write, read, read, list_sizes)

        assert isinstance(first, set)
        assert isinstance(second, set)
        assert first | second <= set(states)
        assert isinstance(sizes, set)
        assert sizes <= {len(state) for state in states}

    def test_threads_do_not_disturb_each_other(self, backend: Backend) -> None:
        """Objects that come and go in one folder do not harm their neighbours."""

        def work(name: str) -> bool:
            for turn in range(12):
                key = f"shared/{name}/{turn % 2}"
                backend.put(key, [name.encode()])
                if backend.get(key) != name.encode():
                    return False
                backend.delete(key)
            return True

        answers = _together(*(lambda n=name: work(n) for name in "abcdef"), lambda: work("a2"))

        assert answers == [True] * 7
        assert list(backend.list_objects("")) == []

    def test_a_pickled_backend_opens_anew(self, backend: Backend) -> None:
        """The copy reads what the original stored."""
        backend.put("a/key", [b"content"])

        with pickle.loads(pickle.dumps(backend)) as copy:  # noqa: S301 - our own bytes
            assert copy.get("a/key") == b"content"
            assert (copy.url, copy.capabilities) == (backend.url, backend.capabilities)


class BackendContract(ObjectContract, CreateContract, ListingContract, SharingContract):
    """Everything a backend must do. `backend` is a fixture that yields an empty one."""

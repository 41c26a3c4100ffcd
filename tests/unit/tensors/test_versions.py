"""Tensors of versions: what is fetched, how many reads that takes, and that damage is told."""

from __future__ import annotations

import doctest
import pickle

import numpy as np
import pytest
from memory_stores import PLAIN, DistantBackend, open_on, with_store
from written_tensors import safetensors_of

import cas
from cas.errors import CorruptionError, NotFoundError
from cas.tensors import mapping

PIECE = 1 << 20
RNG = np.random.default_rng(4)


def model(contents):
    head, at = {}, 0
    for name, content in contents.items():
        span = [at, at + len(content)]
        head[name] = {"dtype": "U8", "shape": [len(content)], "data_offsets": span}
        at += len(content)
    return safetensors_of(head, b"".join(contents.values()))


CONTENTS = {f"layers.{n}.weight": RNG.bytes(PIECE) for n in range(8)} | {"zeros": bytes(2 * PIECE)}


def test_the_examples_in_the_documentation_run(tmp_path):
    """Each docstring shows what really happens."""
    head = {
        "weight": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]},
        "bias": {"dtype": "F32", "shape": [2], "data_offsets": [48, 56]},
    }
    content = safetensors_of(head, np.ones(14, "<f4").tobytes())
    (tmp_path / "model.safetensors").write_bytes(content)
    store = open_on(with_store(DistantBackend()))
    store.put(tmp_path, "model", PLAIN)

    found = doctest.testmod(mapping, extraglobs={"store": store})

    assert found.attempted
    assert found.failed == 0


@pytest.fixture
def backend(tmp_path):
    """A distant backend with a store that has one model, alone and as a shard."""
    folder = tmp_path / "made"
    (folder / "shards").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(model(CONTENTS))
    for n in range(3):
        (folder / "shards" / f"{n}.safetensors").write_bytes(model({f"t{n}": bytes([n])}))
    (folder / "shards" / "readme.md").write_text("none\n", encoding="utf-8")
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("none\n", encoding="utf-8")
    backend = with_store(DistantBackend())
    open_on(backend).put(folder, "model", PLAIN)
    return backend


def test_one_tensor_is_fetched_alone(backend):
    """The bytes that cross are the table, the header's frame, and the tensor's frames."""
    store = open_on(backend)
    tensors = store.version("model").tensors("model.safetensors")
    before = store.requests.received_bytes

    array = tensors["layers.3.weight"]

    assert array.tobytes() == CONTENTS["layers.3.weight"]
    assert array.flags.writeable
    assert store.requests.received_bytes - before < PIECE + (600 << 10)


def test_all_tensors_take_few_reads(backend):
    """Neighbours come together, and zeros not at all."""
    store = open_on(backend)
    tensors = store.version("model").tensors("model.safetensors")
    before = store.requests

    loaded = tensors.load("layers.*")
    zeros = tensors["zeros"]

    assert {name: array.tobytes() for name, array in loaded.items()} | {
        "zeros": zeros.tobytes()
    } == CONTENTS
    assert store.requests.get - before.get <= 4


def test_a_folder_is_its_shards(backend):
    """Files of other kinds are left out."""
    tensors = open_on(backend).version("model").tensors("shards")

    assert {name: int(array[0]) for name, array in tensors.load().items()} == {
        "t0": 0,
        "t1": 1,
        "t2": 2,
    }


def test_tensors_travel_to_other_processes(tmp_path):
    """Workers of a loader open them anew."""
    (tmp_path / "model.safetensors").write_bytes(model({"a": b"123"}))
    with cas.Store.create(tmp_path / "store") as store:
        store.put(tmp_path / "model.safetensors", "model", PLAIN)
        tensors = store.version("model").tensors("model.safetensors")

        copy = pickle.loads(pickle.dumps(tensors))

    assert copy["a"].tobytes() == b"123"


def test_what_is_not_there_is_told(backend):
    """As for any file."""
    with pytest.raises(NotFoundError, match="no 'other'"):
        open_on(backend).version("model").tensors("other")
    with pytest.raises(NotFoundError, match="directly in 'texts'"):
        open_on(backend).version("model").tensors("texts")


def test_damage_ends_in_an_error(backend):
    """And what is whole beside it is still read."""
    store = open_on(backend)
    tensors = store.version("model").tensors("model.safetensors")
    for key in [one.key for one in backend.list_objects("blobs")]:
        content = bytearray(backend.get(key))
        at = content.find(CONTENTS["layers.5.weight"][:1000])
        if at > 0:
            content[at + 10] ^= 1
            backend.delete(key)
            backend.put(key, [bytes(content)])

    with pytest.raises(CorruptionError):
        tensors["layers.5.weight"]

    assert np.array_equal(
        tensors["layers.3.weight"], np.frombuffer(CONTENTS["layers.3.weight"], "u1")
    )

"""`cas diff --tensors`: as text, as JSON, with its options and mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from written_tensors import safetensors_of

from cas import PutOptions, Store

ONES = np.ones(4, "<f4")


def model(**arrays):
    head, payload = {}, b""
    for name, array in arrays.items():
        span = [len(payload), len(payload) + array.nbytes]
        head[name] = {"dtype": "F32", "shape": [*array.shape], "data_offsets": span}
        payload += array.tobytes()
    return safetensors_of(head, payload)


@pytest.fixture(scope="module")
def cas(own_tool):
    """The tool, and two versions of `m`; the folder `m` is as the second."""
    folder = own_tool.cwd / "m"
    (folder / "deep").mkdir(parents=True)
    for number in (1, 2):
        more = {"new": ONES[:2]} if number == 2 else {"old": ONES[:1]}
        content = model(same=ONES, bent=ONES.reshape(number, -1), moved=ONES * number, **more)
        (folder / "a.safetensors").write_bytes(content)
        (folder / "deep" / "b.safetensors").write_bytes(model(b=ONES * number))
        (folder / "c.pt").write_bytes(b"\x80\2" + bytes([number]))
        own_tool("put", "m", "-n", "m")
    return own_tool


def test_changes_are_listed_by_file(cas):
    """A line for each tensor, and what is unknown as a warning."""
    shown = cas("diff", "--tensors", "m:v0", "m:v1")

    assert shown.out.splitlines()[:-1] == [
        "a.safetensors",
        "  S  bent  F32 [1, 4] -> F32 [2, 2]",
        "  M  moved  F32 [4]  4 elements (100.0%), by 1 at most",
        "  A  new  F32 [2]",
        "  D  old  F32 [1]",
        "deep/b.safetensors",
        "  M  b  F32 [4]  4 elements (100.0%), by 1 at most",
    ]
    assert "1 added, 1 removed, 1 reshaped, 2 changed, 1 unchanged" in shown.out
    assert "c.pt differs" in shown.err


def test_json_has_it_all(cas):
    """Counts, files, and what was skipped."""
    found = cas.json("diff", "--tensors", "m:v0", "m:v1", "deep")
    brief = cas.json("diff", "--tensors", "m:v0", "m:v1", "--stat")

    assert found["files"] == [
        {
            "path": "deep/b.safetensors",
            "changes": [
                {
                    "kind": "changed",
                    "name": "b",
                    "old_path": None,
                    "old_dtype": "F32",
                    "new_dtype": "F32",
                    "old_shape": [4],
                    "new_shape": [4],
                    "elements": 4,
                    "changed_elements": 4,
                    "largest_difference": 1.0,
                }
            ],
            "unchanged": 0,
        }
    ]
    assert found["skipped"] == []
    assert set(brief) == {"old", "new", "summary"}
    assert brief["summary"] == {
        "added": 1,
        "removed": 1,
        "reshaped": 1,
        "retyped": 0,
        "changed": 2,
        "unchanged": 1,
        "skipped": 1,
        "read_bytes": brief["summary"]["read_bytes"],
    }


def test_a_folder_can_be_the_new_side(cas):
    """Nothing differs from what was just put; exit codes say so."""
    cas("diff", "--tensors", "m:v1", "./m", "--exit-code")
    names = cas("diff", "--tensors", "m:v0", "./m", "--name-only", "--exit-code", code=1)

    assert names.out.split() == ["a.safetensors", "deep/b.safetensors"]


def test_other_styles_hold_for_tensors_too(cas):
    """Letters between tabs, and Markdown."""
    status = cas("diff", "--tensors", "m:v0", "m:v1", "--name-status")
    markdown = cas("diff", "--tensors", "m:v0", "m:v1", "--md").out

    assert status.out.splitlines()[0] == "S\ta.safetensors\tbent"
    assert "| Added | <code>a.safetensors</code> | <code>new</code> | F32 &#91;2&#93; |" in markdown
    assert "5 added" not in markdown
    assert "1 added, 1 removed" in markdown
    assert "| Not told | <code>c.pt</code>" in markdown


def test_tensors_on_a_server_cost_their_ranges(ministack, tmp_path):
    """One of a model costs a few requests and its bytes, and so does the diff of one that changed."""
    place = ministack.new_place()
    rng = np.random.default_rng(7)
    arrays = {f"t{n}": rng.random(1 << 19, np.float32) for n in range(8)}
    with Store.create(place.url, storage_options=place.options) as store:
        for _ in range(2):
            (tmp_path / "x.safetensors").write_bytes(model(**arrays))
            store.put(tmp_path / "x.safetensors", "m", PutOptions(provenance=False))
            arrays["t5"] = arrays["t5"] + 1

    with Store.open(place.url, storage_options=place.options) as store:
        tensors = store.version("m:v0").tensors("x.safetensors")
        opened = store.requests
        array = tensors["t3"]
        read = store.requests - opened
    with Store.open(place.url, storage_options=place.options) as store:
        diff = store.diff_tensors("m:v0", "m:v1")
        compared = store.requests

    assert np.array_equal(array, arrays["t3"])
    assert read.requests == read.get <= 2
    assert read.received_bytes < array.nbytes + (600 << 10)
    assert [change.name for _, change in diff.of_kind("changed")] == ["t5"]
    assert diff.read_bytes < 2 * array.nbytes + (600 << 10)
    assert compared.received_bytes < 2 * array.nbytes + (2 << 20)
    assert compared.requests < 25

"""What there is behind `cas://`: artifacts, versions, folders, files and what is said of them."""

from __future__ import annotations

import datetime

import pytest
from blake3 import blake3

import cas
from cas.testing.trees import write_tree

EVERY = [
    "dangling",
    "link",
    "train-2.txt",
    "train/a.txt",
    "train/deep/b.bin",
    "x@2.png",
]
FOLDERS = ["empty", "train", "train/deep"]


def names(entries):
    return [entry["name"] for entry in entries]


def test_artifacts_and_versions_are_folders(fs):
    """Artifacts stand at the top, names with slashes in folders, and versions behind `name@`."""
    assert fs.ls("cas://", detail=False) == ["data", "team"]
    assert fs.ls("team", detail=False) == ["team/bert"]
    assert fs.ls("data@", detail=False) == ["data@v0", "data@v1"]
    assert [fs.isdir(path) for path in ("", "team", "data@", "data", "data@v0", "team/bert")] == [
        True
    ] * 6
    assert fs.info("data@v0")["digest"] == fs.store.version("data:v0").digest.hex


@pytest.mark.parametrize("prefix", ["data@v0", "data:v0", "data@first", "data@DIGEST"])
def test_a_version_is_a_folder_however_it_is_named(fs, store, prefix):
    """Names come back as they were written, and the same is found below each."""
    store.tag("data:v0", ["first"])
    prefix = prefix.replace("DIGEST", store.version("data:v0").digest.hex)

    assert fs.find(prefix) == [f"{prefix}/{path}" for path in EVERY]
    assert fs.find(f"cas://{prefix}/", withdirs=True) == sorted(
        [prefix, *(f"{prefix}/{path}" for path in EVERY + FOLDERS)]
    )
    assert fs.ls(prefix, detail=False) == sorted(
        f"{prefix}/{name}"
        for name in ["dangling", "empty", "link", "train", *EVERY[2:3], "x@2.png"]
    )


def test_no_version_means_the_latest_as_it_was_when_first_asked_for(fs, store, source):
    """A put in between changes nothing until the filesystem is told to forget."""
    assert fs.cat("data/new") == b"new"
    (source / "new").write_bytes(b"newer")
    store.put(source, "data")

    assert fs.cat("cas://data/new") == b"new"
    assert fs.ls("data@", detail=False)[-1] == "data@v2"
    fs.invalidate_cache()
    assert fs.cat("data/new") == b"newer"


def test_the_longest_name_of_an_artifact_counts(fs, store, source):
    """An artifact in a folder that is called like another one is found, and so is the other."""
    (source / "bert").mkdir()
    (source / "bert" / "inside").write_bytes(b"of team")
    store.put(source, "team")

    assert fs.cat("team/bert/a.txt") == b"one 1\n"
    assert fs.cat("team@latest/bert/inside") == b"of team"
    assert fs.cat("team/train/a.txt") == b"one 1\n"


def test_signs_of_versions_may_stand_in_names_of_files(fs):
    """`x@2.png` is a file of the latest version, since there is no artifact `data/x`."""
    assert fs.cat("data/x@2.png") == fs.cat("data@v0/x@2.png") == b"png"


@pytest.mark.parametrize(
    "path",
    [
        "no",
        "no@v0",
        "data@v9",
        "data@no",
        "data@v0/no",
        "data/train/a.txt/x",
        "bad name",
        "data@v0/",
    ],
)
def test_what_is_not_there_is_a_missing_file(fs, path):
    """To clients it is a `FileNotFoundError`, to users of cas its own error with code and hint."""
    path = path if path != "data@v0/" else "data@v0/trai"

    with pytest.raises(FileNotFoundError) as caught:
        fs.info(path)

    assert isinstance(caught.value, cas.NotFoundError)
    assert caught.value.errno == 2
    assert not fs.exists(path)
    assert not fs.isdir(path)
    assert not fs.isfile(path)
    assert fs.find(path) == []


def test_a_store_that_is_not_there_is_no_missing_file(tmp_path):
    """Whoever takes a missing file for an answer must not take this for one."""
    fs = cas.CasFileSystem(store=tmp_path / "elsewhere")

    with pytest.raises(cas.NotFoundError) as caught:
        fs.exists("data@v0/x")

    assert not isinstance(caught.value, OSError)


def test_details_of_files_folders_and_links(fs, store):
    """Links are followed inside the version; one that leads nowhere is neither file nor folder."""
    made = store.version("data:v0").created_ns / 1e9
    of_all = {"created": made, "mtime": made}
    of_file = {"size": 6, "type": "file", "blake3": blake3(b"one 1\n").hexdigest()}

    assert fs.info("data@v0/train/a.txt") == of_all | of_file | {
        "name": "data@v0/train/a.txt",
        "executable": False,
    }
    assert fs.info("data@v0/link") == of_all | of_file | {
        "name": "data@v0/link",
        "executable": False,
        "islink": True,
        "destination": "train/a.txt",
    }
    assert fs.info("data@v0/dangling")["type"] == "other"
    for folder in ("data@v0/train", "data@v0/empty"):
        assert fs.info(folder) == of_all | {"name": folder, "size": 0, "type": "directory"}
    assert fs.ls("data@v0/train/a.txt") == [fs.info("data@v0/train/a.txt")]
    assert fs.modified("data@v0/link") == datetime.datetime.fromtimestamp(made, datetime.UTC)


def test_listings_and_details_say_the_same(fs):
    """`ls`, `find`, `walk` and `info` agree about every path."""
    found = fs.find("data@v0", withdirs=True, detail=True)

    assert found == {path: fs.info(path) for path in found}
    for folder in (path for path, entry in found.items() if entry["type"] == "directory"):
        assert fs.ls(folder) == [found[name] for name in fs.ls(folder, detail=False)]
    walked = [
        f"{folder}/{name}" for folder, _, files in fs.walk("data@v0") for name in sorted(files)
    ]
    assert sorted(walked) == fs.find("data@v0")
    assert fs.find("data@v0", maxdepth=1, withdirs=True) == [
        "data@v0",
        *fs.ls("data@v0", detail=False),
    ]
    assert names(fs.find("data@v0", detail=True).values()) == fs.find("data@v0")


def test_patterns_find_files_and_versions(fs):
    """As in any filesystem of fsspec; in the place of a version they stand for several."""
    assert fs.glob("cas://data@v0/train/*") == ["data@v0/train/a.txt", "data@v0/train/deep"]
    assert fs.glob("data/**/*.bin") == ["data/train/deep/b.bin"]
    assert fs.glob("data@v*/*.png") == ["data@v0/x@2.png", "data@v1/x@2.png"]
    assert fs.glob("data:v[1-9]/new", detail=True) == {"data:v1/new": fs.info("data:v1/new")}
    assert fs.glob("d*") == ["data"]
    assert fs.glob("data@v0/no*") == fs.glob("no@v*/x") == []


def test_keys_of_files_tell_their_content(fs):
    """Equal files have equal keys in any version, so caches of fsspec are exact."""
    same = ["data@v0/link", "data@v1/train/a.txt", "team/bert/a.txt"]

    assert len({fs.ukey(path) for path in same}) == len({fs.checksum(path) for path in same}) == 1
    assert fs.ukey("data@v0") != fs.ukey("data@v1")
    assert fs.ukey("data@v0/train/deep/b.bin") != fs.ukey(same[0])


def test_sizes_are_summed_without_reading_files(fs):
    """`du` in all, for each file, and for a file itself."""
    assert fs.du("data@v0/train") == 6 + (3 << 20)
    assert fs.du("team/bert", total=False) == {
        "team/bert/a.txt": 6,
        "team/bert/deep/b.bin": 3 << 20,
    }
    assert fs.du("data@v0/link") == fs.size("data@v0/link") == 6


def test_names_that_are_not_text_are_listed_and_read(store, tmp_path):
    """Bytes that are not UTF-8 stand as surrogate escapes, as everywhere in cas."""
    store.put(write_tree(tmp_path / "odd", {b"\xff\xfe": b"odd"}), "odd")
    fs = cas.CasFileSystem(store=store.url)

    assert fs.ls("odd", detail=False) == ["odd/\udcff\udcfe"]
    assert fs.cat("odd/\udcff\udcfe") == b"odd"

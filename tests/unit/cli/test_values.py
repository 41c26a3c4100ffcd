from __future__ import annotations

import pytest

from cas.cli.values import is_folder_argument, merge_metadata, split_list, split_words
from cas.errors import InvalidInputError


def test_metadata_comes_from_pairs_objects_and_files(tmp_path):
    """Each form adds to the others and later ones win."""
    file = tmp_path / "run.json"
    file.write_text('{"lr": 0.1, "note": "from file"}')

    merged = merge_metadata(["note=hello", f"@{file}", '{"epochs": 3}', "lr=0.2", "ok=true"])

    assert merged == {"note": "from file", "lr": 0.2, "epochs": 3, "ok": True}


@pytest.mark.parametrize("text", ["novalue", "=x", "{broken", "{1}"])
def test_metadata_that_cannot_be_read_is_refused(text):
    """A mistake in metadata names what was written."""
    with pytest.raises(InvalidInputError):
        merge_metadata([text])


def test_a_metadata_file_must_hold_an_object(tmp_path):
    """A list is no metadata."""
    file = tmp_path / "list.json"
    file.write_text("[1]")

    with pytest.raises(InvalidInputError, match="not a JSON object"):
        merge_metadata([f"@{file}"])


def test_the_last_word_of_a_put_is_the_name():
    """Without --name the last word is the artifact, with it every word is a path."""
    assert split_words(["a", "b", "name"], None) == (["a", "b"], "name")
    assert split_words(["a", "b"], "name") == (["a", "b"], "name")


def test_a_put_without_a_name_shows_how_to_write_it():
    """One word alone is taken for the path."""
    with pytest.raises(InvalidInputError) as caught:
        split_words(["data"], None)

    assert caught.value.hint == "cas put data NAME"


def test_words_in_the_wrong_order_are_noticed(tmp_path, monkeypatch):
    """Where the last word exists and the first does not, the hint turns them round."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    with pytest.raises(InvalidInputError) as caught:
        split_words(["bert", "data"], None)

    assert caught.value.hint == "cas put data bert"


def test_a_url_comes_before_the_name_of_any_folder(tmp_path, monkeypatch):
    """That a URL is no local file says nothing about the order of the words."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    assert split_words(["s3://bucket/raw", "data"], None) == (["s3://bucket/raw"], "data")


def test_options_of_a_driver_are_named_in_their_errors():
    """Not as metadata, though they are read in the same way."""
    with pytest.raises(InvalidInputError, match="--source-option"):
        merge_metadata(["profile"], "--source-option")


def test_aliases_may_be_given_apart_or_with_commas():
    """Both ways of writing several aliases mean the same."""
    assert split_list(["a,b", "c", " d , "]) == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("word", "is_folder"),
    [
        ("./data", True),
        ("/data", True),
        ("~/data", True),
        ("data", True),
        ("data:latest", False),
        ("data@v3", False),
        ("other", False),
        ("we:ird name", True),
    ],
)
def test_the_second_word_of_a_diff_is_a_folder_if_there_is_one(
    word, is_folder, tmp_path, monkeypatch
):
    """A bare word is a folder if there is one; a version after it makes it a reference."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "we:ird name").mkdir()

    assert is_folder_argument(word) is is_folder

"""Names, version numbers and references as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.errors import ErrorCode, InvalidInputError
from cas.model.names import AliasName, ArtifactName, Ref

names = st.from_regex(
    r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,20}(/[a-z][a-z0-9._+-]{0,9})?", fullmatch=True
)
BERT = ArtifactName("team/bert")


@pytest.mark.parametrize("text", ["imagenet", "team/bert", "a/b/c", "v3", "x-1.2_3+cpu", "0"])
def test_ordinary_names_are_names(text):
    """Letters, digits, some punctuation, and slashes between."""
    assert str(ArtifactName(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", ".hidden", "-x", "+x", "a b", "a:b", "a@b",
     "a\n", "näme", "a\\b", "a%2f", "a*", "x" * 201],
)  # fmt: skip
def test_other_names_are_refused(text):
    """Nothing that a shell, a path or a terminal could take for something else."""
    with pytest.raises(InvalidInputError) as caught:
        ArtifactName(text)
    assert caught.value.code is ErrorCode.INVALID_NAME


@pytest.mark.parametrize("text", ["production", "best", "v1.0", "epoch-3", "beef"])
def test_ordinary_aliases_are_aliases(text):
    """What cannot be a number or a digest can be an alias."""
    assert str(AliasName(text)) == text


@pytest.mark.parametrize("text", ["", "latest", "v3", "v0", "deadbeef", "0" * 64, "a/b", "x y"])
def test_an_alias_cannot_read_like_another_reference(text):
    """`latest`, version numbers and digest prefixes mean what they mean."""
    with pytest.raises(InvalidInputError):
        AliasName(text)


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("team/bert", Ref(BERT)),
        ("team/bert:latest", Ref(BERT)),
        ("team/bert:v3", Ref(BERT, number=3)),
        ("team/bert@v3", Ref(BERT, number=3)),
        ("team/bert:v0/config.json", Ref(BERT, number=0, path="config.json")),
        ("team/bert:prod/a/b.txt", Ref(BERT, alias=AliasName("prod"), path="a/b.txt")),
        ("team/bert:latest/a b", Ref(BERT, path="a b")),
        ("team/bert@0123456789ab", Ref(BERT, digest_prefix="0123456789ab")),
        ("team/bert:v3/dir/", Ref(BERT, number=3, path="dir")),
        ("team/bert:v3/a:b@c", Ref(BERT, number=3, path="a:b@c")),
        ("team/bert:v03", Ref(BERT, alias=AliasName("v03"))),
    ],
)
def test_a_reference_says_artifact_version_and_path(text, ref):
    """Each form that a user may write is read as meant."""
    assert Ref.parse(text) == ref


@pytest.mark.parametrize("text", ["", ":", "bert:", "bert:/x", ":v3", "bert:a b", "bert::v3"])
def test_what_is_no_reference_is_refused(text):
    """A missing name or version is an error of the input, never a guess."""
    with pytest.raises(InvalidInputError):
        Ref.parse(text)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("cas://team/bert@v3/a.txt", "write team/bert@v3/a.txt"),
        ("cas://bert:v3::s3://bucket/prefix", "write bert:v3"),
        ("cas://bert/a.txt", "write NAME:latest/PATH"),
    ],
)
def test_a_url_for_libraries_is_told_from_a_reference(url, meant):
    """It is what stands beside it in a user's notebook; what to write instead is said."""
    with pytest.raises(InvalidInputError, match="URL for libraries") as caught:
        Ref.parse(url)
    assert caught.value.hint == meant


@given(names, st.integers(0, 10**9 - 1), st.sampled_from(["", "/a", "/a/b c"]))
def test_a_printed_reference_reads_back(name, number, path):
    """What cas prints can be pasted."""
    text = f"{name}:v{number}{path}"

    assert str(Ref.parse(text)) == text


def test_the_version_part_is_spelled_as_written():
    """Number, alias, digest and latest each have one spelling."""
    refs = [Ref.parse(f"m:{version}") for version in ("v7", "prod", "abcdef", "latest")]

    assert [ref.version_text for ref in refs] == ["v7", "prod", "abcdef", "latest"]

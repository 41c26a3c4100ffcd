"""Keys, for any names and numbers."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from cas.errors import InvalidInputError
from cas.format import keys
from cas.model.ids import BlobId, SessionId
from cas.model.names import AliasName, ArtifactName

_FIRST = st.sampled_from("abcXYZ019_")
_REST = st.text("abcABC019._+-", max_size=8)
components = st.builds(str.__add__, _FIRST, _REST)
artifacts = st.builds(ArtifactName, st.lists(components, min_size=1, max_size=3).map("/".join))
sessions = st.builds(SessionId, st.binary(min_size=16, max_size=16))
numbers = st.integers(0, 10**10 - 1)
small = st.integers(0, 9999)


@given(st.text(max_size=80))
def test_component_is_read_back_and_safe(text):
    """Any text becomes one component that no file system minds, and comes back."""
    try:
        component = keys.encode_component(text)
    except InvalidInputError:
        assume(text == "")
        return

    assert not set(component) - set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-%"
    )
    assert component[0] != "."
    assert component[-1] != "."
    assert keys.decode_component(component) in (text, None)
    if not any(0xD800 <= ord(character) < 0xE000 for character in text):
        assert keys.decode_component(component) == text


@given(st.text("aAcCoOnN.%2Ef/", max_size=8))
def test_component_that_is_read_is_the_only_spelling(component):
    """A second spelling of a name is litter, so two folders are never one artifact."""
    text = keys.decode_component(component)

    assert text is None or keys.encode_component(text) == component


@given(artifacts, numbers, small)
def test_version_keys_are_read_back(artifact, number, k):
    """Slots, revisions, moves and expiries are recognised by their keys."""
    assert keys.parse_version_key(keys.version_key(artifact, number)) == keys.VersionKey(
        number, "slot", 0
    )
    assert keys.parse_version_key(keys.revision_key(artifact, number, k)) == keys.VersionKey(
        number, "revision", k
    )
    assert keys.parse_version_key(keys.move_key(artifact, number, k)) == keys.VersionKey(
        number, "move", k
    )
    assert keys.parse_version_key(keys.expiry_key(artifact, number, k)) == keys.VersionKey(
        number, "expiry", k
    )


@given(artifacts)
def test_artifact_is_read_back_from_its_folder(artifact):
    """The folder of an artifact names it."""
    folder = keys.artifact_prefix(artifact).removeprefix("artifacts/")

    assert keys.parse_artifact_folder(folder) == artifact


@given(artifacts, components, st.integers(0, 10**8 - 1))
def test_alias_keys_are_read_back(artifact, text, generation):
    """Alias and generation are recognised by the key."""
    try:
        alias = AliasName(text)
    except InvalidInputError:
        return

    assert keys.parse_alias_key(keys.alias_key(artifact, alias, generation)) == (text, generation)


@given(sessions, small, st.integers(0, 99), numbers, st.binary(min_size=32, max_size=32))
def test_other_keys_are_read_back(session, k, level, run, raw):
    """Intents, segments, records of collections and blobs are recognised by their keys."""
    blob_id = BlobId(raw)

    assert keys.parse_intent_key(keys.intent_key(session, k)) == (session, k)
    assert keys.parse_segment_key(keys.segment_key(level, session, k)) == (level, session, k)
    assert keys.parse_collection_key(keys.condemn_key(run)) == (run, "condemn")
    assert keys.parse_collection_key(keys.verdict_key(run)) == (run, "verdict")
    assert keys.parse_collection_key(keys.done_key(run)) == (run, "done")
    assert keys.parse_collection_key(keys.floor_key(run)) == (run, "floor")
    assert keys.parse_blob_key(keys.blob_key(blob_id)) == blob_id
    assert keys.parse_blob_key(keys.meta_key(blob_id)) == blob_id


@given(artifacts, numbers, numbers)
def test_slots_sort_as_their_numbers(artifact, one, other):
    """A listing is in the order of versions."""
    first, second = keys.version_key(artifact, one), keys.version_key(artifact, other)

    assert (first < second) == (one < other)

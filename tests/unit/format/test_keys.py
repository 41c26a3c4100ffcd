"""Where objects live, and what is only litter."""

from __future__ import annotations

import pytest

from cas.errors import InvalidInputError
from cas.format import keys
from cas.model.ids import BlobId, SessionId
from cas.model.names import AliasName, ArtifactName

SESSION = SessionId(bytes(range(16)))
HEX = bytes(range(16)).hex()
BERT = ArtifactName("team/bert")


def test_keys_are_those_of_the_specification():
    """One example of each."""
    blob_id = BlobId(b"\xab" * 32)

    assert [
        keys.CONFIG,
        keys.blob_key(blob_id),
        keys.meta_key(blob_id),
        keys.artifacts_prefix(),
        keys.version_key(BERT, 3),
        keys.revision_key(BERT, 3, 1),
        keys.move_key(BERT, 3, 2),
        keys.aliases_prefix(BERT),
        keys.alias_key(BERT, AliasName("prod"), 5),
        keys.sessions_prefix(),
        keys.intent_key(SESSION, 4),
        keys.index_prefix(),
        keys.segment_key(1, SESSION, 0),
        keys.collections_prefix(),
        keys.condemn_key(7),
        keys.verdict_key(7),
        keys.done_key(7),
        keys.floor_key(7),
    ] == [
        "cas.json",
        f"blobs/ab/{'ab' * 32}",
        f"meta/ab/{'ab' * 32}",
        "artifacts",
        "artifacts/team%2Fbert/versions/0000000003",
        "artifacts/team%2Fbert/versions/0000000003.r0001",
        "artifacts/team%2Fbert/versions/0000000003.m0002",
        "artifacts/team%2Fbert/aliases",
        "artifacts/team%2Fbert/aliases/prod/00000005",
        "sessions",
        f"sessions/{HEX}/00000004",
        "index",
        f"index/1-{HEX}-0000",
        "gc",
        "gc/0000000007.condemn",
        "gc/0000000007.verdict",
        "gc/0000000007.done",
        "gc/0000000007.floor",
    ]


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("a/b", "a%2Fb"),
        ("a+b", "a%2Bb"),
        ("100%", "100%25"),
        ("é", "%C3%A9"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("end.", "end%2E"),
        ("con", "%63on"),
        ("LPT1.txt", "%4CPT1.txt"),
        ("console", "console"),
        ("Bert", "Bert"),
    ],
)
def test_name_becomes_a_component_that_every_file_system_keeps(text, component):
    """Separators, dots at the ends and Windows' devices are escaped, nothing more."""
    assert keys.encode_component(text) == component
    assert keys.decode_component(component) == text


@pytest.mark.parametrize("text", ["", "x" * 256, "/" * 86])
def test_name_that_makes_no_component_is_refused(text):
    """File systems hold 255 bytes in a name."""
    with pytest.raises(InvalidInputError, match="empty or too long"):
        keys.encode_component(text)


@pytest.mark.parametrize(
    "component", ["", "a%2fb", "a%2", "%41", "a b", "é", ".a", "a.", "con", "%FF", "a%2Eb", "%"]
)
def test_component_that_no_name_has_is_litter(component):
    """Only the one spelling of a name is read."""
    assert keys.decode_component(component) is None


LITTER = [
    (keys.parse_artifact_folder, ["", "a b", "%2Ehidden", "a%2F", "%2Fa"]),
    (
        keys.parse_version_key,
        [
            "artifacts/a/versions/3",
            "artifacts/a/versions/0000000003.x0001",
            "artifacts/a/versions/0000000003.r1",
            "artifacts/a/versions/0000000003\n",
            "artifacts/a/versions/\u0663000000003",
            "artifacts/a/b/versions/0000000003",
            "artifacts/a/aliases/0000000003",
        ],
    ),
    (
        keys.parse_alias_key,
        [
            "artifacts/a/aliases/prod",
            "artifacts/a/aliases/prod/1",
            "artifacts/a/aliases/latest/00000001",
            "artifacts/a/aliases/v3/00000001",
            "artifacts/a/aliases/%zz/00000001",
        ],
    ),
    (keys.parse_intent_key, [f"sessions/{HEX}", f"sessions/{HEX.upper()}/00000000", "sessions/x"]),
    (
        keys.parse_segment_key,
        [f"index/0-{HEX}-1", f"index/01-{HEX}-0001", f"index/100-{HEX}-0001", "index/x"],
    ),
    (keys.parse_collection_key, ["gc/1.condemn", "gc/0000000001.open", "gc/0000000001"]),
    (
        keys.parse_blob_key,
        [f"blobs/ab/{'cd' * 32}", f"blobs/{'ab' * 32}", f"other/ab/{'ab' * 32}", "blobs/ab/ab"],
    ),
]


@pytest.mark.parametrize(
    ("parse", "key"), [(parse, key) for parse, litter in LITTER for key in litter]
)
def test_litter_is_not_taken_for_an_object(parse, key):
    """Other tools leave files in buckets; they are passed over."""
    assert parse(key) is None


def test_keys_are_recognised():
    """A listing is read back into what its keys name."""
    assert keys.parse_artifact_folder("team%2Fbert") == BERT
    assert keys.parse_version_key(keys.version_key(BERT, 3)) == keys.VersionKey(3, "slot", 0)
    assert keys.parse_version_key(keys.move_key(BERT, 3, 2)) == keys.VersionKey(3, "move", 2)
    assert keys.parse_alias_key(keys.alias_key(BERT, AliasName("prod"), 5)) == ("prod", 5)
    assert keys.parse_intent_key(keys.intent_key(SESSION, 4)) == (SESSION, 4)
    assert keys.parse_segment_key(keys.segment_key(1, SESSION, 0)) == (1, SESSION, 0)
    assert keys.parse_collection_key(keys.floor_key(7)) == (7, "floor")
    assert keys.parse_blob_key(keys.meta_key(BlobId(bytes(32)))) == BlobId(bytes(32))


@pytest.mark.parametrize("number", [-1, 10**10])
def test_number_that_would_break_the_order_of_keys_is_refused(number):
    """Keys sort as numbers only while they have the same width."""
    with pytest.raises(ValueError, match="10 digits"):
        keys.version_key(BERT, number)


@pytest.mark.parametrize("level", [-1, 100])
def test_level_that_no_parser_reads_is_refused(level):
    """Every key that is made is recognised."""
    with pytest.raises(ValueError, match="level"):
        keys.segment_key(level, SESSION, 0)

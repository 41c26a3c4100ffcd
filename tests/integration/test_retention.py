"""What is kept and what goes: prune, rm --now, protected aliases and TTL, through the tool."""

from __future__ import annotations

import pytest
from cas_tool import QuickTool, make_tool


@pytest.fixture
def tool(tmp_path):
    """The tool and an empty store."""
    tool = make_tool(tmp_path, QuickTool)
    tool("init")
    return tool


def put(tool, name, content, *options):
    """Put a file as the next version of an artifact."""
    (tool.cwd / "file").write_text(content)
    return tool.json("put", "file", "-n", name, *options)["ref"]


@pytest.fixture
def runs(tool):
    """Four versions of bert with losses, one aliased, one made from data:v0; and two of data."""
    put(tool, "data", "zero")
    put(tool, "data", "one")
    put(tool, "bert", "a", "--metadata", "val_loss=0.5")
    put(tool, "bert", "b", "--metadata", "val_loss=0.1")
    put(tool, "bert", "c", "--metadata", "val_loss=0.3", "-a", "production")
    put(tool, "bert", "d", "--metadata", "val_loss=0.9", "--input", "data:v0")
    return tool


def live(tool, name):
    """Return the numbers of the visible versions, the oldest first."""
    return sorted(one["number"] for one in tool.json("log", name)["versions"])


def test_a_plan_tells_what_goes_and_why_the_rest_stays(runs):
    """It is a dry run unless --apply is given."""
    plan = runs.json("prune", "bert", "--keep-last", "1", "--keep-top", "1:val_loss")

    assert {one["number"]: one["reasons"] for one in plan["versions"]} == {
        3: ["among the last 1"],
        2: ["alias production"],
        1: ["val_loss 0.1 among the 1 lowest"],
        0: [],
    }
    assert plan["applied"] is False
    shown = runs("prune", "bert", "--keep-last", "1")
    assert "no rule keeps it" in shown.out
    assert "--apply" in shown.err
    assert runs("prune", "bert", "--keep-last", "1", "-q").out == "bert:v1\nbert:v0\n"
    assert live(runs, "bert") == [0, 1, 2, 3]


def test_what_goes_lies_in_the_trash_and_comes_back(runs):
    """Applied, the plan's versions are moved; restore undoes it."""
    done = runs.json("prune", "bert", "--keep-last", "2", "--apply")

    assert [one["number"] for one in done["trashed"]] == [1, 0]
    assert live(runs, "bert") == [2, 3]
    runs("restore", "bert:v1")
    assert live(runs, "bert") == [1, 2, 3]
    (again,) = runs.json("prune", "bert", "--keep-last", "2", "--apply")["trashed"]
    assert again["number"] == 1


def test_applied_rules_that_keep_all_say_that_there_was_nothing_to_do(runs):
    """Nothing is told of bringing back what never went."""
    nothing = runs("prune", "bert", "--keep-last", "4", "--apply").out
    one = runs("prune", "bert", "--keep-last", "3", "--apply").out

    assert "nothing to do: the rules keep every version" in nothing
    assert "trash" not in nothing
    assert "moved 1 version to the trash; cas restore brings it back" in one


def test_a_rule_that_ranks_by_what_no_version_has_is_told(runs):
    """Likely its key is misspelled; a key that some versions have is not."""
    words = ("prune", "bert", "--keep-top", "3:val_los:min")

    told = runs(*words, "--keep-top", "1:val_loss")
    planned = runs.json(*words, "--keep-last", "1")
    refused = runs(*words, "--no-keep-aliases", "--apply", code=10)
    done = runs(*words, "--keep-last", "1", "--apply")

    said = "no version of bert has a number val_los in its metadata"
    assert told.err.count("in its metadata") == 1
    assert said in told.err
    assert planned["unknown_keys"] == [{"artifact": "bert", "key": "val_los"}]
    assert "keep no version of bert: none has a number val_los in its metadata" in refused.err
    assert said in done.err


def test_what_a_kept_version_was_made_from_is_kept_in_any_artifact(runs):
    """data:v0 is not among the last, but bert:v3 was made from it and stays."""
    plan = runs.json("prune", "d*", "--keep-last", "1")["versions"]
    both = runs.json("prune", "*", "--keep-top", "1:val_loss", "--keep-alias", "x")["versions"]

    assert {one["number"]: one["reasons"] for one in plan} == {
        1: ["among the last 1"],
        0: ["bert:v3 was made from it"],
    }
    assert [one["artifact"] for one in both if not one["reasons"]] == [
        "bert",
        "bert",
        "data",
        "data",
    ]


def test_no_artifact_loses_everything_by_mistake(runs):
    """Unless it is said that this is meant."""
    words = ("prune", "bert", "--keep-alias", "best", "--no-keep-aliases", "--apply")

    refused = runs.json(*words, code=10)

    assert "--keep-last 0" in refused["error"]["hint"]
    assert live(runs, "bert") == [0, 1, 2, 3]
    assert len(runs.json(*words, "--keep-last", "0")["trashed"]) == 4
    assert runs.json("log", "bert")["versions"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["bert"], 2, "no rule"),
        (["bert", "--keep-top", "3:speed"], 2, "lowest or the highest"),
        (["bert", "--keep-within", "soon"], 2, "span of time"),
        (["bort", "--keep-last", "1"], 3, "bort"),
        (["x*", "--keep-last", "1"], 3, "x*"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(runs, words, code, said):
    """Before anything is read or moved."""
    assert said in runs.json("prune", *words, code=code)["error"]["message"]


def test_protected_aliases_stand_against_everything_but_force(runs):
    """Moving, removing, deleting and pruning."""
    runs("tag", "--protect", "bert", "production")

    assert runs.json("tag", "bert")["protected"] == ["production"]
    assert "(protected)" in runs("tag", "bert").out
    for words in (
        ("tag", "bert:v3", "production"),
        ("tag", "--remove", "bert", "production"),
        ("rm", "bert:v2", "-y"),
        ("rm", "bert", "-y"),
        ("put", "file", "-n", "bert", "--force", "-a", "production"),
    ):
        assert "production" in runs.json(*words, code=10)["error"]["message"]
    kept = runs.json("prune", "bert", "--keep-last", "0", "--no-keep-aliases")["versions"]
    assert [one["number"] for one in kept if one["reasons"]] == [2]
    runs("tag", "bert:v3", "production", "--force")
    runs("tag", "--unprotect", "bert", "production")
    runs("tag", "--remove", "bert", "production")


def test_now_is_for_good(runs):
    """It says so, and neither reading nor restoring works any more."""
    asked = runs("rm", "--now", "bert:v0", code=10)
    gone = runs.json("rm", "--now", "bert:v0", "-y")

    assert "nothing can bring it back" in asked.err
    assert gone == {"purged": [{"artifact": "bert", "number": 0, "aliases": []}]}
    assert "deleted for good" in runs.json("get", "bert:v0", "x", code=3)["error"]["message"]
    assert "deleted for good" in runs.json("restore", "bert:v0", code=3)["error"]["message"]
    states = [one["state"] for one in runs.json("log", "bert", "--all")["versions"]]
    assert states == ["live", "live", "live", "purged"]
    assert "no version of bert is in the trash" in runs("restore", "bert", code=3).err
    runs("rm", "--now", "bert", "-y", "--force")
    assert "every version of bert was deleted for good" in runs("restore", "bert", code=3).err


def test_what_others_were_made_from_is_not_deleted_in_passing(runs):
    """A yes is not enough without a terminal, where nobody sees what stands against it."""
    refused = runs.json("rm", "data:v0", "-y", code=10)

    assert "bert:v3 was made from data:v0" in refused["error"]["message"]
    runs("rm", "data:v0", "-y", "--force")
    assert live(runs, "data") == [1]


def test_when_a_version_goes_is_shown_and_can_be_changed(tool):
    """By put, by ttl, in ls, log and show."""
    put(tool, "scratch", "a", "--ttl", "30d")
    first = tool.json("show", "scratch")["expires"]

    assert first is not None
    assert tool.json("ls")["artifacts"][0]["expires"] == first
    assert tool.json("log", "scratch")["versions"][0]["expires"] == first
    assert "EXPIRES" in tool("log", "scratch").out
    assert "expires" in tool("show", "scratch").out
    assert tool.json("ttl", "scratch", "90d")["expires"] > first
    assert tool.json("ttl", "scratch:v0", "never")["expires"] is None
    assert "never expires" in tool("ttl", "scratch").out
    assert "EXPIRES" not in tool("ls").out
    assert tool.json("ttl", "scratch", "soon", code=2)["error"]["code"] == "invalid-option"


def test_a_put_without_a_new_version_says_that_its_ttl_is_not_recorded(tool):
    """As with other facts that only a version holds."""
    put(tool, "scratch", "a")

    (warning,) = tool.json("put", "file", "-n", "scratch", "--ttl", "1d")["warnings"]

    assert "ttl" in warning


def test_why_leads_from_a_version_to_what_speaks_for_it(runs):
    """State, aliases, versions made from it, and when it goes."""
    runs("tag", "bert:v1", "best", "--protect")
    runs("ttl", "bert:v1", "30d")
    runs("rm", "bert:v0", "-y")

    assert "bert:v3 was made from it" in runs("why", "data:v0").out
    tagged = runs.json("why", "bert:best")
    assert (tagged["subject"], tagged["text"]) == ("version", "bert:v1")
    assert tagged["version"]["protected"] == ["best"]
    assert tagged["version"]["expires"] is not None
    assert "protected alias best" in runs("why", "bert:v1").out
    trashed = runs.json("why", "bert:v0")["version"]
    assert trashed["state"] == "trashed"
    assert trashed["purge"] is not None
    assert "cas restore bert:v0" in runs("why", "bert:v0").out


def test_why_leads_from_a_file_to_its_blobs_and_from_a_blob_to_its_files(runs):
    """And back again, by the blob's key, its id, or the beginning of it."""
    (runs.cwd / "file").write_bytes(bytes(range(256)) * 40)
    runs("put", "file", "-n", "big")
    (found,) = runs.json("why", "big:v0/file")["blobs"]
    name = found["key"].rpartition("/")[2]

    assert found["key"].startswith("blobs/")
    assert found["is_kept"]
    for text in (found["key"], name, name[:12]):
        (blob,) = runs.json("why", text)["blobs"]
        assert (blob["key"], blob["size"]) == (found["key"], found["size"])
        assert [(one["artifact"], one["number"], one["paths"]) for one in blob["versions"]] == [
            ("big", 0, ["file"])
        ]
    assert "holds bytes of file" in runs("why", name).out
    (tiny,) = runs.json("why", "data:v0/file")["blobs"]
    assert tiny["key"].startswith("meta/")
    runs("rm", "--now", "big", "-y")
    assert "nothing keeps it" in runs("why", name).out
    assert runs.json("why", name)["blobs"][0]["is_kept"] is False
    assert "for good" in runs("why", "big:v0").out


def test_why_passes_over_a_damaged_intent_and_says_that_it_may_keep_anything(runs):
    """Who keeps a blob is told all the same; that nothing does is not."""
    (runs.cwd / "file").write_bytes(bytes(range(256)) * 40)
    runs("put", "file", "-n", "big")
    session = "ab" * 16
    intent = runs.cwd.parent / "store" / "sessions" / session / "00000000"
    intent.parent.mkdir(parents=True)
    intent.write_bytes(b"no intent")
    (found,) = runs.json("why", "big:v0/file")["blobs"]
    runs("rm", "--now", "big", "-y")
    (lost,) = runs.json("why", found["key"])["blobs"]

    assert (found["is_kept"], found["sessions"], found["unreadable"]) == (True, [], [session])
    assert (lost["is_kept"], lost["unreadable"]) == (False, [session])
    said = runs("why", found["key"]).out
    assert f"session {session} cannot be read" in said
    assert "nothing keeps it" not in said


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("nothing", 3, "artifact-not-found"),
        ("bert:v9", 3, "version-not-found"),
        ("bert:v0/none", 3, "path-not-found"),
        ("0123456789abcdef", 3, "object-not-found"),
    ],
)
def test_why_says_what_is_not_there(runs, what, code, said):
    """By the same codes as other commands."""
    assert runs.json("why", what, code=code)["error"]["code"] == said


def test_a_collection_lets_go_of_what_is_due_and_says_what_stays(tool):
    """To the trash when its time is over, for good when it lay there long enough; freed with it."""
    put(tool, "old", "a" * 5000, "--ttl", "0s")
    put(tool, "tagged", "b" * 5000, "--ttl", "0s", "-a", "best")
    put(tool, "data", "c" * 5000, "--ttl", "0s")
    put(tool, "model", "d" * 5000, "--input", "data")

    planned = tool("gc").out
    assert "would move old:v0 to the trash: its time was over" in planned
    assert "keeps tagged:v0, though its time is over: alias best" in planned
    assert "keeps data:v0, though its time is over: model:v0 was made from it" in planned
    assert live(tool, "old") == [0]
    done = tool("gc", "--apply").out
    assert "moved old:v0 to the trash" in done
    assert "keeps tagged:v0" in done
    assert tool.json("log", "old", "--all")["versions"][0]["state"] == "trashed"
    assert "would purge old:v0" in tool("gc", "--trash-keep", "0s").out
    (taken,) = tool.json("du", "old:v0")["versions"]
    freed = tool.json("gc", "--apply", "--trash-keep", "0s")
    assert [one["number"] for one in freed["moved"]["purged"]] == [0]
    assert freed["deleted"]["bytes"] == taken["freed_bytes"] > 0
    assert "for good" in tool.json("restore", "old:v0", code=3)["error"]["message"]

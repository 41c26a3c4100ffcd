"""`cas put --from-version`: versions changed by the tool, without a copy of what they have."""

from __future__ import annotations


def _paths(cas, ref):
    """Get a version, and return the paths of its files and links."""
    folder = cas.cwd / ref.replace(":", "-")
    cas("get", ref, folder)
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(str(path.relative_to(folder)) for path in found)


def test_files_are_put_to_a_version_and_left_out_of_it(cas, data):
    """Several words each under its own name, in the folder that is wanted; the rest stays."""
    cas("put", "data", "set")
    (cas.cwd / "more").mkdir()
    (cas.cwd / "more" / "c.txt").write_text("gamma\n")
    (cas.cwd / "single").write_text("single\n")

    cas("put", "more", "set", "--from-version", "set:v0", "--to", "train", "--rm", "train/a*")
    cas("put", "more", "single", "set", "--from-version", "set:latest", "--to", "in/side")
    cas("put", "single", "copy", "--from-version", "set:v0", "--rm", "train", stdin=b"")

    assert _paths(cas, "set:v1") == [
        *["link", "readme.md", "run.sh", "train/b.txt", "train/c.txt"],
    ]
    assert cas("cat", "set:v2/in/side/more/c.txt").out == "gamma\n"
    assert cas("cat", "set:v2/in/side/single").out == "single\n"
    assert _paths(cas, "copy:v0") == [
        *["link", "readme.md", "run.sh", "single"],
    ]
    assert [one["artifact"] for one in cas.json("show", "copy:v0")["inputs"]] == ["set"]


def test_files_are_only_left_out(cas, data):
    """Then no path need be named; a pattern that fits nothing is an error unless forced."""
    cas("put", "data", "set")

    cas("put", "set", "--from-version", "set:v0", "--rm", "**/*.txt", "--rm", "run.sh")
    missing = cas("put", "set", "--from-version", "set:v1", "--rm", "no/*", code=3)
    forced = cas("put", "set", "--from-version", "set:v0", "--rm", "no/*", "--force", "-q")

    assert _paths(cas, "set:v1") == ["link", "readme.md"]
    assert "set:v1 has nothing that fits --rm 'no/*'" in missing.err
    assert forced.out.strip() == "set:v2"


def test_what_is_missing_is_said_in_the_words_of_the_command(cas, data):
    """The name, where the only word is a path; a pattern of which nothing is left."""
    cas("put", "data", "set")

    nameless = cas("put", "./data", "--from-version", "set", "--rm", "run.sh", code=2)
    twice = cas("put", "set", "--from-version", "set", "--rm", "train", "--rm", "train/a*", code=3)

    assert "no artifact is named to put './data' into" in nameless.err
    assert "set:v0 has nothing left that fits" in twice.err
    assert len(cas.json("log", "set")["versions"]) == 1


def test_standard_input_becomes_a_file_of_a_version(cas, data):
    """Beside the others."""
    cas("put", "data", "set")

    cas("put", "-", "set", "--path", "log", "--to", "d", "--from-version", "set", stdin=b"line")

    assert cas("cat", "set:v1/d/log").out == "line"
    assert cas.json("show", "set:v1")["totals"]["files"] == 5


def test_a_dry_run_tells_what_it_would_send(cas, data):
    """And publishes nothing."""
    cas("put", "data", "set")
    (cas.cwd / "new").write_text("new\n" * 1000)

    plan = cas.json("put", "new", "set", "--from-version", "set:v0", "--rm", "train", "--dry-run")

    assert (plan["next_number"], plan["new_bytes"]) == (1, 4000)
    assert plan["totals"]["files"] == 3
    assert len(cas.json("log", "set")["versions"]) == 1

"""Listings of versions and artifacts: trees, orders, conditions, limits."""

from __future__ import annotations

import pytest
from cas_tool import QuickTool, Tool
from terminals import run_on_terminal


@pytest.fixture
def cas(bare):
    """The tool in the process of the tests, and an empty store."""
    tool = QuickTool(bare.cwd, bare.environ)
    tool("init")
    return tool


@pytest.fixture
def stored(cas, data):
    """A version with files of some sizes and a link."""
    cas("put", "data", "imagenet")
    return cas


def test_a_tree_shows_how_much_lies_below_each_folder(stored):
    """Folders first, then files with their sizes, links with what they lead to."""
    assert stored("ls", "imagenet", "--tree").out.splitlines() == [
        "imagenet:v0  4 files, 10.8 KiB, 1 other",
        "├── train/  2 files, 10.7 KiB",
        "│   ├── a.txt  5.9 KiB",
        "│   └── b.txt  4.9 KiB",
        "├── link  -> readme.md",
        "├── readme.md  6 B",
        "└── run.sh  10 B",
    ]
    assert stored("ls", "imagenet:v0/train", "--tree").out.splitlines()[0] == (
        "imagenet:v0/train  2 files, 10.7 KiB"
    )


def test_a_tree_goes_as_deep_as_it_is_told(stored):
    """What lies deeper is summed up."""
    lines = stored("ls", "imagenet", "--tree", "-L", "1").out.splitlines()

    assert lines[1:3] == ["├── train/  2 files, 10.7 KiB", "├── link  -> readme.md"]
    assert stored("ls", "imagenet", "-R", "-L", "1").out == "link\nreadme.md\nrun.sh\n"
    assert "--tree" in stored("ls", "imagenet", "-L", "1", code=2).err
    for option in ("--tree", "-0"):
        assert f"hint: cas ls REF {option}" in stored("ls", option, code=2).err


def test_a_tree_is_drawn_in_the_letters_of_the_locale(stored):
    """Where there are no lines, bars and dashes do."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    tool = Tool(stored.cwd, stored.environ)

    assert "|-- train/" in tool("ls", "imagenet", "--tree", **plain).out


def test_big_folders_are_cut_on_a_terminal_only(cas):
    """A terminal shows the first twenty of a folder and how many more there are; a pipe all."""
    many = cas.cwd / "many"
    for folder in range(30):
        (many / f"{folder:02}").mkdir(parents=True)
        for number in range(25):
            (many / f"{folder:02}" / f"{number:02}.txt").touch()
    cas("put", "many", "many")

    _, shown = run_on_terminal(cas, "ls", "many", "--tree", NO_COLOR="1")
    _, deeper = run_on_terminal(cas, "ls", "many", "--tree", "-L", "2", NO_COLOR="1")

    assert shown.splitlines()[-2:] == ["└── ... and 10 more", "1 level shown; for more: -L 2"]
    assert len(shown.splitlines()) == 23
    assert "│   └── ... and 5 more" in deeper.splitlines()
    assert len(cas("ls", "many", "--tree").out.splitlines()) == 1 + 30 + 30 * 25
    limited = cas("ls", "many", "--tree", "--limit", "1").out.splitlines()
    assert limited[2:4] == ["│   ├── 00.txt  0 B", "│   └── ... and 24 more"]


def test_a_tree_fits_the_terminal(cas):
    """Long names are cut, and hostile ones cannot do harm."""
    (cas.cwd / "data").mkdir()
    (cas.cwd / "data" / ("x" * 200)).touch()
    (cas.cwd / "data" / "evil\x1b[31m\n").touch()
    cas("put", "data", "imagenet")

    _, shown = run_on_terminal(cas, "ls", "imagenet", "--tree", NO_COLOR="1", COLUMNS="60")

    assert max(map(len, shown.splitlines())) == 60
    assert "evil\\x1b[31m\\n" in shown
    whole = run_on_terminal(cas, "ls", "imagenet", "--tree", "--no-truncate", COLUMNS="60")[1]
    assert "x" * 200 in whole


def test_a_tree_is_two_flat_lists_in_json(stored):
    """Folders with their totals, and entries; each by its path."""
    document = stored.json("ls", "imagenet", "--tree")

    assert document["folders"] == [
        {"path": "", "files": 4, "size": 11016, "others": 1, "more": 0},
        {"path": "train", "files": 2, "size": 11000, "others": 0, "more": 0},
    ]
    assert [entry["path"] for entry in document["entries"]] == [
        "link", "readme.md", "run.sh", "train/a.txt", "train/b.txt",
    ]  # fmt: skip


def test_long_rows_sum_up_folders(stored):
    """Their bytes, and how many files."""
    row = stored("ls", "imagenet", "-l").out.splitlines()[0]

    assert row.split() == ["d", "10.7", "KiB", "2", "files", "train/"]
    assert stored.json("ls", "imagenet", "-l")["folder_totals"] == [
        {"path": "train", "files": 2, "size": 11000, "others": 0}
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-R", "--sort", "size"], "train/a.txt train/b.txt run.sh link readme.md"),
        (["-R", "--sort", "size", "-r", "--limit", "1"], "readme.md"),
        (["-R", "--filter", "size>5000"], "train/a.txt"),
        (["-R", "--filter", "size<1KiB", "--filter", "name=r*"], "readme.md run.sh"),
        (["-R", "--filter", "kind=symlink"], "link"),
        (["--filter", "name=a*"], "train/"),
        (["--sort", "size", "--limit", "2"], "train/ run.sh"),
        (["--sort", "name", "-r"], "train/ run.sh readme.md link"),
    ],
    ids=" ".join,
)
def test_files_are_chosen_and_ordered(stored, words, expected):
    """By size, name, kind; biggest first; folders stay if they hold any."""
    assert stored("ls", "imagenet", *words).out.split() == expected.split()


def test_what_a_limit_leaves_out_is_counted(stored):
    """Beside the answer, and in the document."""
    assert "... and 4 more" in stored("ls", "imagenet", "-R", "--limit", "1").err
    assert stored.json("ls", "imagenet", "-R", "--limit", "1")["more"] == 4


def test_artifacts_are_chosen_and_ordered(stored, data):
    """By size, name, age, how many versions; only their names for a script."""
    stored("put", "data/train", "other")
    stored("put", "data/readme.md", "other")

    def names(*words: str) -> list[str]:
        return stored("ls", "-q", *words).out.split()

    assert names("--sort", "size") == ["imagenet", "other"]
    assert names("--filter", "versions>1") == ["other"]
    assert names("--filter", "age<1d", "--filter", "name!=o*") == ["imagenet"]
    assert names("--filter", "age>1d") == []
    assert names("--sort", "age", "--limit", "1") == ["other"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--filter", "size"], "NAME>VALUE"),
        (["--filter", "size>much"], "64KiB"),
        (["--filter", "color=red"], "name, path, size"),
        (["--filter", "name>a"], "name=PATTERN"),
        (["--sort", "color"], "name, path, size"),
    ],
    ids=" ".join,
)
def test_a_condition_that_makes_no_sense_is_explained(stored, words, hint):
    """With what it may be."""
    assert hint in stored("ls", "imagenet", *words, code=2).err


def test_sizes_for_people_need_not_be_asked_for(stored):
    """The option of other tools is taken, and changes nothing."""
    assert stored("ls", "imagenet", "-lh").out == stored("ls", "imagenet", "-l").out

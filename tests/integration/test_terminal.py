from __future__ import annotations

import os
import pty
import re
import signal
import threading
from contextlib import suppress

import pytest
from cas_tool import QuickTool
from terminals import run_on_terminal

from cas.model.units import MIB

HOSTILE = "evil\x1b[31m\u202egpj.exe\n"


@pytest.fixture
def stored(cas, data):
    """A store with one version."""
    cas("put", "data", "imagenet", "-m", "first")
    return cas


@pytest.fixture
def heeded():
    """Commands heed Ctrl-C though a shell may have started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_terminal_gets_colours(stored):
    """Headings and errors stand out."""
    assert "\x1b[1mVERSION" in run_on_terminal(stored, "log", "imagenet")[1]
    assert "\x1b[31m" in run_on_terminal(stored, "log", "nothing")[1]


@pytest.mark.parametrize(("words", "environ"), [((), {"NO_COLOR": "1"}), (("--no-color",), {})])
def test_no_color_is_obeyed(stored, words, environ):
    """NO_COLOR and --no-color leave plain text, in errors too."""
    for command in (("log", "imagenet"), ("log", "nothing")):
        assert "\x1b[" not in run_on_terminal(stored, *command, *words, **environ)[1]


@pytest.mark.parametrize(
    ("words", "environ"),
    [(("--color", "always"), {"NO_COLOR": "1"}), ((), {"FORCE_COLOR": "1"}), ((), {"CLICOLOR_FORCE": "1"})],
)  # fmt: skip
def test_colours_can_be_forced_into_a_pipe(stored, words, environ):
    """For a pager or the log of a CI system, in errors too; a word comes before the environment."""
    assert "\x1b[1mVERSION" in stored("log", "imagenet", *words, **environ).out
    assert "\x1b[31m" in stored("log", "nothing", *words, code=3, **environ).err


def test_a_diff_shows_by_colour_what_happened_to_a_file(stored, data):
    """Green came, red went, yellow changed, cyan has another name."""
    (data / "new.txt").write_text("new\n")
    (data / "run.sh").unlink()
    (data / "readme.md").write_text("about it\n")
    (data / "train" / "a.txt").rename(data / "train" / "z.txt")

    _, output = run_on_terminal(stored, "diff", "imagenet", "./data")

    lines = output.splitlines()
    assert "\x1b[32mA  new.txt  (4 B)\x1b[0m" in lines
    assert "\x1b[31mD  run.sh  (10 B)\x1b[0m" in lines
    assert "\x1b[33mM  readme.md  (6 B -> 9 B)\x1b[0m" in lines
    assert "\x1b[36mR  train/a.txt -> train/z.txt\x1b[0m" in lines
    assert "\x1b" not in stored("diff", "imagenet", "./data").out


def test_a_diff_gives_letters_and_paths_to_a_script(stored, data):
    """Between tabs; a renamed file has both of its names."""
    (data / "new.txt").write_text("new\n")
    (data / "train" / "a.txt").rename(data / "train" / "z.txt")

    lines = stored("diff", "imagenet", "./data", "--name-status").out.splitlines()

    assert lines == ["A\tnew.txt", "R\ttrain/a.txt\ttrain/z.txt"]


def test_a_diff_is_written_for_a_pull_request(stored, data):
    """Names cannot become markup, a mention or the end of a cell."""
    (data / "<b>|@all`*").write_text("new\n")

    text = stored("diff", "imagenet", "./data", "--md").out

    assert text.startswith("### imagenet → ./data\n\n1 added &#40;4 B&#41;\n\n<details>")
    cell = "<code>&#60;b&#62;&#124;&#64;all&#96;&#42;</code>"
    assert f"| Added | {cell} | 4 B |\n" in text


def test_tables_fit_the_terminal(cas, data):
    """The widest column is cut, and not if that is asked for or where no terminal is."""
    cas("put", "data", "imagenet", "-m", "many words " * 20)

    cut = run_on_terminal(cas, "log", "imagenet", COLUMNS="90")[1]
    whole = run_on_terminal(cas, "log", "imagenet", "--no-truncate", COLUMNS="90")[1]

    assert max(map(len, cut.splitlines())) <= 90 + len("\x1b[1m\x1b[0m")
    assert cut.rstrip().endswith("…")
    assert "many words " * 19 in whole
    assert "many words " * 19 in cas("log", "imagenet").out


def test_a_pipe_gets_no_colours_and_no_progress(cas, data):
    """What is not a terminal gets plain lines only."""
    put = cas("put", "data", "imagenet")
    failed = cas("log", "nothing", code=3)

    assert put.err == ""
    assert "\x1b" not in put.out + cas("log", "imagenet").out + failed.err


def test_a_put_on_a_terminal_ends_with_its_answer(cas, data):
    """Progress is drawn and taken away; the answer stays."""
    (data / "big.bin").write_bytes(os.urandom(4 * MIB))

    code, output = run_on_terminal(cas, "put", "data", "imagenet")

    assert code == 0
    assert "imagenet:v0\r\n" in output
    assert output.rstrip().endswith("get it: cas get imagenet:v0")


def test_quiet_prints_only_the_answer(cas, data):
    """A script gets the reference and nothing else."""
    quiet = cas("put", "data", "imagenet", "-q")

    assert (quiet.out, quiet.err) == ("imagenet:v0\n", "")


def test_a_no_on_the_terminal_changes_nothing(stored):
    """Whoever is asked can say no."""
    ours, theirs = pty.openpty()
    process = stored.start("rm", "imagenet:v0", stdin=theirs, stdout=-1, stderr=theirs)
    os.write(ours, b"n\n")
    process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)

    assert process.returncode == 10
    assert stored.json("show", "imagenet")["number"] == 0


def test_a_yes_on_the_terminal_goes_on(stored):
    """Whoever is asked can say yes."""
    ours, theirs = pty.openpty()
    process = stored.start("rm", "imagenet:v0", stdin=theirs, stdout=-1, stderr=theirs)
    os.write(ours, b"y\n")
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)

    assert (process.returncode, out) == (0, b"deleted imagenet:v0\n")


def test_a_hostile_name_cannot_reach_the_terminal(cas, data):
    """Names, messages and errors are shown with controls and direction marks made visible."""
    (data / HOSTILE).write_text("x\n")
    cas("put", "data", "imagenet", "-m", HOSTILE)

    shown = [
        cas("ls", "imagenet"),
        cas("ls", "imagenet", "-l"),
        cas("log", "imagenet"),
        cas("show", "imagenet"),
        cas("diff", "imagenet", "./data/train"),
        cas("cat", f"imagenet:v0/{HOSTILE}x", code=3),
    ]

    for output in shown:
        assert not {"\x1b", "\u202e"} & set(output.out + output.err)
        assert "evil\\x1b[31m\\u202egpj.exe\\n" in output.out + output.err


def test_scripts_get_names_exactly(cas, data):
    """--json and -0 give every name as it is, one that is not UTF-8 too."""
    names = [HOSTILE, "caf\udce9"]
    for name in names:
        (data / name).write_text("x\n")
    cas("put", "data", "imagenet")

    entries = cas.json("ls", "imagenet")["entries"]
    listed = cas("ls", "imagenet", "-R", "-0").out.split("\0")

    assert set(names) <= {entry["path"] for entry in entries}
    assert set(names) <= set(listed)
    assert "caf\\xe9" in cas("ls", "imagenet").out
    assert cas("cat", "imagenet:v0/caf\udce9").out == "x\n"


@pytest.mark.parametrize("lang", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_any_locale_can_show_any_name(cas, data, lang):
    """A letter that the locale has not is escaped, never an error."""
    (data / "größe").write_text("x\n")
    cas("put", "data", "imagenet")

    listed = cas("ls", "imagenet", LANG=lang, LC_ALL=lang, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    assert "gr" in listed.out


def test_a_closed_pipe_ends_quietly(cas, data):
    """`cas cat ... | head` exits 141 and says nothing."""
    (data / "big.bin").write_bytes(bytes(range(256)) * 4096 * 4)
    cas("put", "data", "imagenet")

    process = cas.start("cat", "imagenet:v0/big.bin", stdout=-1, stderr=-1)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (141, b"")


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_stops_a_put_and_the_same_command_goes_on(cas):
    """The first Ctrl-C ends with 130, says that nothing is lost, and leaves no version."""
    content = os.urandom(MIB)
    process = cas.start("put", "-", "dump", "--path", "x", stdin=-1, stdout=-1, stderr=-1)
    assert process.stdin is not None
    sent = threading.Event()

    def feed():
        # More than a pipe holds: once the third piece is gone, cas is reading.
        for number in range(1000):
            try:
                os.write(process.stdin.fileno(), content)
            except OSError:
                return
            if number == 2:
                sent.set()

    writer = threading.Thread(target=feed)
    writer.start()
    assert sent.wait(60)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    writer.join(60)
    process.stdin.close()
    process.stdin = None
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert b"the same command" in err
    assert b"Traceback" not in err
    assert cas.json("ls") == {"artifacts": []}
    assert cas("put", "-", "dump", "--path", "x", "-q", stdin=content).out == "dump:v0\n"


def test_stats_tell_what_was_asked_of_the_storage(cas, data):
    """Requests by kind and bytes each way, on stderr, whatever comes of the command."""
    put = cas("put", "data", "pets", "--stats", "--quiet")
    missing = cas("get", "--stats", "nothing", code=3)

    line = re.compile(r": \d+ requests \(get \d+, .*list \d+.*\), sent .+, received .+")
    assert line.search(put.err.strip().splitlines()[-1])
    assert "request" in missing.err
    assert "request" not in put.out


def test_stats_tell_what_was_asked_of_a_target_apart(cas, data):
    """A line of its own after the store's, with what was written there."""
    cas("put", "data", "pets")

    got = cas("get", "pets", "memory://bucket/pets", "--stats", code=9)

    store, target = got.err.strip().splitlines()[-2:]
    assert store.startswith("file://")
    assert re.match(r"target memory://bucket/pets: \d+ requests \(put \d+, list 1\), sent ", target)
    assert "request" not in cas("ls").err


@pytest.mark.parametrize(
    "words",
    [
        ["init", "other"], ["doctor"], ["put", "data", "pets"], ["put", "data", "pets", "--dry-run"],
        ["ls"], ["ls", "imagenet"], ["show", "imagenet"], ["log", "imagenet"], ["du"],
        ["diff", "imagenet:v0", "data"], ["status", "imagenet", "data"], ["cat", "imagenet:v0/readme.md"],
        ["get", "imagenet", "out"], ["tag", "imagenet", "best"], ["rm", "imagenet", "-y"],
        ["restore", "imagenet"], ["copy", "imagenet", "--as", "twin", "--to", "."],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_that_asks_a_store_tells_what_it_asked(bare, words):
    """Where it went well and where it did not, one line for each store."""
    tool = QuickTool(bare.cwd, bare.environ)
    (tool.cwd / "data").mkdir()
    (tool.cwd / "data" / "readme.md").write_text("about\n" * 100)
    tool("init")
    tool("put", "data", "imagenet")

    finished = tool.run([*words, "--stats"], b"", {})

    lines = [line for line in finished.err.splitlines() if re.search(r": \d+ requests? \(", line)]
    assert len(lines) == 1


def test_what_stands_against_a_deletion_is_shown_and_a_yes_is_enough(stored):
    """On a terminal the question names the alias; a protected one takes --force all the same."""
    stored("tag", "imagenet:v0", "best")
    stored("put", "data", "other", "--input", "imagenet")
    shown, code = answer_on_terminal(stored, b"y\n", "rm", "imagenet:v0")

    assert code == 0
    assert "best of imagenet points to v0" in shown
    assert "other:v0 was made from imagenet:v0" in shown
    stored("restore", "imagenet")
    stored("tag", "--protect", "imagenet", "best")
    shown, code = answer_on_terminal(stored, b"y\n", "rm", "imagenet:v0")
    assert code == 10
    assert "protected alias best" in shown
    assert stored.json("show", "imagenet")["number"] == 0


def answer_on_terminal(tool, answer: bytes, *words: str) -> tuple[str, int]:
    """Run a command that asks on a terminal; return what stood there, and the exit code."""
    ours, theirs = pty.openpty()
    process = tool.start(*words, stdin=theirs, stdout=-1, stderr=theirs)
    os.write(ours, answer)
    process.communicate(timeout=60)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the end of a terminal is an error
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    return shown.decode(), process.returncode

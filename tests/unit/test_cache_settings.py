"""How large the cache of data may be: who is asked in which order, and writing the answer down."""

from __future__ import annotations

import shutil
import tomllib

import pytest

from cas.cache_settings import choose_cache, save_cache_size
from cas.errors import CasError, ErrorCode, InvalidInputError
from cas.model.units import MIB
from cas.settings import cache_folder, find_store


@pytest.fixture
def home(tmp_path):
    """An environment whose every local byte is below a folder of its own."""
    (tmp_path / "home").mkdir()
    return {"CAS_HOME": str(tmp_path / "home")}


def write_user_file(home, text):
    path = f"{home['CAS_HOME']}/config.toml"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a test's own
        file.write(text)
    return path


def test_nobody_asked_for_one(home, tmp_path):
    """There is none then, and its place is known all the same."""
    choice = choose_cache(home)

    assert (choice.limit_bytes, choice.source, choice.size) == (0, "default", None)
    assert choice.folder == tmp_path / "home" / "cache" / "data-1"


def test_the_argument_wins_then_the_variable_then_the_users_file(home):
    """What is said later counts more."""
    path = write_user_file(home, 'cache_size = "30MiB"\n')
    environ = {**home, "CAS_CACHE_SIZE": "20MiB"}
    choices = [
        choose_cache(environ, size=50 * MIB),
        choose_cache(environ),
        choose_cache(home),
        choose_cache(environ, size=0),
    ]

    assert [(one.limit_bytes // MIB, one.source) for one in choices] == [
        (50, "argument"),
        (20, "CAS_CACHE_SIZE"),
        (30, "user config"),
        (0, "argument"),
    ]
    assert choices[2].origin == path


def test_a_share_is_one_of_the_disk(home, tmp_path):
    """Of the whole disk that the cache is on, however much of it is free."""
    choice = choose_cache({**home, "CAS_CACHE_SIZE": "10%"})

    assert choice.limit_bytes == int(shutil.disk_usage(tmp_path).total * 0.1)


@pytest.mark.parametrize("size", ["many", "101%", "-1", "5%%", "1MiB", "0.000001%", "NaN"])
def test_what_is_no_size_is_refused_and_says_who_said_it(home, size):
    """With the variable's name, since nobody typed it just now."""
    with pytest.raises(InvalidInputError, match="CAS_CACHE_SIZE: ") as caught:
        choose_cache({**home, "CAS_CACHE_SIZE": size})

    assert caught.value.code is ErrorCode.INVALID_OPTION
    assert any(word in caught.value.hint for word in ("20GB", "16.0 MiB", "100%"))


@pytest.mark.parametrize("value", ["true", "[1]", "1.5"])
def test_what_is_no_size_in_the_file_is_refused(home, value):
    """With the name of the file."""
    write_user_file(home, f"cache_size = {value}\n")

    with pytest.raises(InvalidInputError, match=r"config\.toml: cache_size"):
        choose_cache(home)


def test_a_projects_file_has_no_say(home, tmp_path):
    """It goes to everybody who has the project, and their disks differ."""
    (tmp_path / "cas.toml").write_text('cache_size = "20GB"\n', encoding="utf-8")

    with pytest.raises(InvalidInputError, match="unknown setting cache_size"):
        find_store(None, environ=home, cwd=tmp_path)


def test_one_variable_moves_the_caches(home, tmp_path):
    """To a large disk, say, without the settings."""
    environ = {**home, "CAS_CACHE_DIR": str(tmp_path / "big")}

    assert cache_folder(environ) == tmp_path / "big"
    assert choose_cache(environ).folder == tmp_path / "big" / "data-1"


@pytest.mark.parametrize(
    "before",
    [
        None,
        "",
        "# mine\n",
        'store = "main"  # the one\n\n[stores.main]\nurl = "s3://b/p"\n',
        '[stores.main]\nurl = "s3://b/p"\n',
        'remote = "x"\ncache_size = "1GB"  # small\nstore = "y"\n',
        "cache_size = 0\n",
        '  [stores.main]\n  url = "s3://b/cache_size = 3"\n',
    ],
)
def test_a_size_is_written_and_all_else_stays(home, before):
    """Comments, order and tables too."""
    if before is not None:
        write_user_file(home, before)

    path = save_cache_size(home, "20GB")

    after = path.read_text(encoding="utf-8")
    assert choose_cache(home).size == "20GB"
    old = tomllib.loads(before or "")
    assert tomllib.loads(after) == {**old, "cache_size": "20GB"}
    kept = [line for line in (before or "").splitlines() if not line.startswith("cache_size")]
    assert [line for line in after.splitlines() if line != 'cache_size = "20GB"'] == kept
    assert path.stat().st_mode & 0o077 == (0 if before is None else 0o044)


@pytest.mark.parametrize(
    ("before", "size"), [('store = "x', "20GB"), ("", "lots"), ("cache_sise = 1", "20GB")]
)
def test_nothing_is_written_if_something_is_wrong(home, before, size):
    """The file stays as it was."""
    path = write_user_file(home, before)

    with pytest.raises(CasError):
        save_cache_size(home, size)

    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a test's own
        assert file.read() == before


@pytest.mark.parametrize(("line", "expected"), [("", None), ("true", True), ("false", False)])
def test_a_store_may_be_left_out_or_taken_in(home, tmp_path, line, expected):
    """Beside its URL: a folder that lies far away, or a bucket next door."""
    text = f'[stores.main]\nurl = "store"\n{line and f"cache = {line}"}\n'
    (tmp_path / "cas.toml").write_text(text, encoding="utf-8")

    assert find_store("main", environ=home, cwd=tmp_path).use_cache is expected


def test_anything_else_there_is_refused(home, tmp_path):
    """A size would be taken for that of the whole cache."""
    text = '[stores.main]\nurl = "store"\ncache = "20GB"\n'
    (tmp_path / "cas.toml").write_text(text, encoding="utf-8")

    with pytest.raises(InvalidInputError, match=r"stores\.main\.cache must be true or false"):
        find_store("main", environ=home, cwd=tmp_path)

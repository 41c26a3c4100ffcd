from __future__ import annotations

import pytest

from cas.errors import ErrorCode, InvalidInputError
from cas.settings import (
    StoreChoice,
    cache_folder,
    config_file,
    find_remote,
    find_store,
    home_folder,
)


@pytest.fixture
def home(tmp_path):
    """An environment whose every local byte is below a folder of its own."""
    (tmp_path / "home").mkdir()
    return {"CAS_HOME": str(tmp_path / "home")}


@pytest.fixture
def project(tmp_path):
    """A project folder with a folder inside."""
    (tmp_path / "project" / "inside").mkdir(parents=True)
    return tmp_path / "project"


def test_the_argument_wins_over_everything(home, project):
    """What is typed now counts more than what was set before."""
    (project / "cas.toml").write_text('store = "/from/project"')
    environ = {**home, "CAS_STORE": "/from/variable"}

    choice = find_store("s3://bucket/x", environ=environ, cwd=project)

    assert choice == StoreChoice(url="s3://bucket/x", source="argument", origin="--store")


def test_the_variable_wins_over_files(home, project):
    """CAS_STORE counts more than cas.toml."""
    (project / "cas.toml").write_text('store = "/from/project"')

    choice = find_store(None, environ={**home, "CAS_STORE": "/from/variable"}, cwd=project)

    assert (choice.url, choice.source, choice.origin) == (
        "/from/variable",
        "CAS_STORE",
        "CAS_STORE",
    )


def test_the_project_file_is_found_from_a_folder_inside(home, project):
    """cas.toml holds for everything below it, and its paths begin where it stands."""
    (project / "cas.toml").write_text('store = "store"')

    choice = find_store(None, environ=home, cwd=project / "inside")

    assert (choice.url, choice.source, choice.origin) == (
        str(project / "store"),
        "cas.toml",
        str(project / "cas.toml"),
    )


def test_the_users_file_comes_after_the_project(home, project):
    """Where no project names a store, the user's file does."""
    config_file(home).write_text('store = "/from/user"')

    choice = find_store(None, environ=home, cwd=project)

    assert (choice.url, choice.source) == ("/from/user", "user config")


def test_the_default_store_is_in_the_users_home_folder(home, project):
    """Where nothing names a store, there is one all the same."""
    choice = find_store(None, environ=home, cwd=project)

    assert (choice.url, choice.source) == (str(home_folder(home) / "store"), "default")


@pytest.mark.parametrize("how", ["argument", "variable", "project"])
def test_a_store_may_be_named_by_a_table(how, home, project):
    """A name from any settings file stands for its URL and options."""
    (project / "cas.toml").write_text('store = "main"' if how == "project" else "")
    config_file(home).write_text(
        '[stores.main]\nurl = "s3://bucket/x"\noptions = { endpoint_url = "https://minio" }\n'
    )
    environ = {**home, "CAS_STORE": "main"} if how == "variable" else home

    choice = find_store("main" if how == "argument" else None, environ=environ, cwd=project)

    assert (choice.url, choice.name) == ("s3://bucket/x", "main")
    assert choice.storage_options == {"endpoint_url": "https://minio"}


def test_a_project_overrides_a_name_of_the_user(home, project):
    """The nearer file decides what a name means."""
    (project / "cas.toml").write_text('[stores.main]\nurl = "near"\n')
    config_file(home).write_text('[stores.main]\nurl = "far"\n')

    assert find_store("main", environ=home, cwd=project).url == str(project / "near")


def test_a_folder_called_like_a_store_is_written_with_a_dot(home, project):
    """./main is a folder even where main is a store."""
    (project / "cas.toml").write_text('[stores.main]\nurl = "s3://bucket/x"\n')

    assert find_store("./main", environ=home, cwd=project).url == str(project / "main")


@pytest.mark.parametrize(
    "content",
    [
        "store = ",
        "store = 5",
        'stroe = "x"',
        "stores = 5",
        "stores.main = 5",
        "[stores.main]\n",
        '[stores.main]\nurl = ""\n',
        '[stores.main]\nurl = "x"\noptions = 3\n',
        '[stores.main]\nurl = "x"\nsecret = 3\n',
        b"store = '\xff'",
    ],
)
def test_a_mistake_in_a_settings_file_names_the_file(content, home, project):
    """Nothing in a settings file is skipped silently: data could end up in another store."""
    file = project / "cas.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(InvalidInputError) as caught:
        find_store(None, environ=home, cwd=project)

    assert caught.value.code is ErrorCode.INVALID_CONFIG
    assert str(file) in str(caught.value)


def test_a_misspelt_setting_names_the_near_one(home, project):
    """A typing error is told as such."""
    (project / "cas.toml").write_text('stroe = "x"')

    with pytest.raises(InvalidInputError, match="did you mean store"):
        find_store(None, environ=home, cwd=project)


def test_one_variable_moves_every_local_byte(tmp_path):
    """CAS_HOME holds settings, data and caches."""
    environ = {"CAS_HOME": str(tmp_path)}
    folders = [config_file(environ), home_folder(environ), cache_folder(environ)]

    assert all(folder.is_relative_to(tmp_path) for folder in folders)


def choose_remote(store, home, project):
    """Return the remote of the store that `store` names."""
    choice = find_store(store, environ=home, cwd=project)
    return find_remote(choice, environ=home, cwd=project)


def test_the_remote_is_that_of_the_project_before_that_of_the_user(home, project):
    """Like the store itself, and relative to the file that names it."""
    config_file(home).write_text('remote = "s3://bucket/user"')
    before = choose_remote(None, home, project)
    (project / "cas.toml").write_text('remote = "../prod"')

    after = choose_remote(None, home, project)

    assert before is not None
    assert after is not None
    assert (before.url, before.source) == ("s3://bucket/user", "user config")
    assert (after.url, after.source) == (str(project / "../prod"), "cas.toml")


def test_the_remote_of_a_named_store_comes_first(home, project):
    """And may be a name itself, with the options of that table."""
    config_file(home).write_text(
        '[stores.prod]\nurl = "s3://bucket/prod"\noptions = { anon = true }\n'
        '[stores.local]\nurl = "/local"\nremote = "prod"\n'
    )
    (project / "cas.toml").write_text('remote = "/elsewhere"')

    remote = choose_remote("local", home, project)
    other = choose_remote("/local", home, project)

    assert remote is not None
    assert other is not None
    assert (remote.url, remote.name, remote.storage_options) == (
        "s3://bucket/prod",
        "prod",
        {"anon": True},
    )
    assert other.url == "/elsewhere"


def test_without_a_setting_there_is_no_remote(home, project):
    """Nothing is guessed."""
    assert choose_remote(None, home, project) is None


@pytest.mark.parametrize("text", ["remote = 3", 'remote = ""', "[stores.a]\nurl='x'\nremote = 1"])
def test_a_remote_that_is_no_text_is_refused(text, home, project):
    """As every other setting of a wrong kind."""
    (project / "cas.toml").write_text(text)

    with pytest.raises(InvalidInputError, match="remote must be"):
        choose_remote(None, home, project)

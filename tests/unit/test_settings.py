from __future__ import annotations

import pytest

from cas.errors import ErrorCode, InvalidInputError
from cas.settings import (
    StoreChoice,
    cache_folder,
    config_file,
    driver_variables,
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
        '[stores.main]\nurl = "/folder"\nregion = "x"\n',
        '[stores.main]\nurl = "/folder"\noptions = { region = "x" }\n',
        '[stores.main]\nurl = "s3://b"\nregion = 5\n',
        '[stores.main]\nurl = "s3://b"\nanonymous = "yes"\n',
        '[stores.main]\nurl = "s3://b"\nprofile = ""\n',
        '[stores.main]\nurl = "s3://b"\nprofile = "a"\noptions = { profile = "b" }\n',
        '[stores.main]\nurl = "gs://b"\nregion = "x"\n',
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


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (
            ('url = "s3://b/p"\nprofile = "prod"\nendpoint = "https://minio"\nregion = "eu-west-3"\n'
            "anonymous = true\nrequester_pays = true\nread_seconds = 5\naddressing = 'path'\n"),
            {
                "profile": "prod",
                "endpoint_url": "https://minio",
                "client_kwargs": {"region_name": "eu-west-3"},
                "anon": True,
                "requester_pays": True,
                "config_kwargs": {"read_timeout": 5, "s3": {"addressing_style": "path"}},
            },
        ),
        (
            'url = "s3://b/p"\nkms_key_id = "arn:1"\n',
            {"s3_additional_kwargs": {"SSEKMSKeyId": "arn:1", "ServerSideEncryption": "aws:kms"}},
        ),
        (
            'url = "s3://b/p"\nregion = "r"\n[stores.main.options]\nclient_kwargs = { verify = false }\n',
            {"client_kwargs": {"verify": False, "region_name": "r"}},
        ),
        (
            'url = "gs://b/p"\nproject = "p"\ncredentials = "/k.json"\nrequester_pays = "p2"\n',
            {"project": "p", "token": "/k.json", "requester_pays": "p2"},
        ),
        ('url = "gcs://b"\nanonymous = true\n', {"token": "anon"}),
        ('url = "az://b"\naccount = "a"\nhost = "h"\n', {"account_name": "a", "account_host": "h"}),
        ('url = "sftp://h/p"\nusername = "u"\nport = 22\n', {"username": "u", "port": 22}),
    ],
)  # fmt: skip
def test_settings_in_the_users_words_become_the_drivers_options(table, options, home, project):
    """The same words serve every kind of storage that knows the thing."""
    (project / "cas.toml").write_text(f"[stores.main]\n{table}")

    assert find_store("main", environ=home, cwd=project).storage_options == options


def test_a_file_that_a_setting_names_is_looked_for_beside_the_settings(home, project):
    """Wherever the command runs."""
    (project / "cas.toml").write_text('[stores.main]\nurl = "gs://b"\ncredentials = "key.json"\n')

    choice = find_store("main", environ=home, cwd=project / "inside")

    assert choice.storage_options == {"token": str(project / "key.json")}


def test_a_misspelt_option_names_the_near_one(home, project):
    """Of those that this kind of storage knows."""
    (project / "cas.toml").write_text('[stores.main]\nurl = "s3://b"\nprofil = "x"\n')

    with pytest.raises(InvalidInputError, match=r"stores.main.profil; did you mean profile\?"):
        find_store("main", environ=home, cwd=project)


def test_credentials_in_a_projects_file_are_warned_about(home, project):
    """Wherever they stand in it; it works all the same."""
    (project / "cas.toml").write_text(
        '[stores.main]\nurl = "s3://b"\nkey = "k"\nsecret = "hunter2"\n'
        '[stores.other]\nurl = "s3://k:hunter2@b"\noptions = { client_kwargs = { aws_session_token = "hunter2" } }\n'
    )

    choice = find_store("main", environ=home, cwd=project)

    assert choice.storage_options == {"key": "k", "secret": "hunter2"}
    (warning,) = choice.warnings
    for name in ("main.key", "main.secret", "other.url", "options.client_kwargs.aws_session_token"):
        assert name in warning
    assert "hunter2" not in warning + repr(choice)


def test_credentials_in_the_users_file_are_fine_if_only_the_user_reads_it(home, project):
    """A warning tells how to make it so."""
    file = config_file(home)
    file.write_text('[stores.main]\nurl = "s3://b"\nsecret = "hunter2"\n')
    file.chmod(0o640)

    assert f"chmod 600 {file}" in find_store("main", environ=home, cwd=project).warnings[0]
    file.chmod(0o600)
    assert find_store("main", environ=home, cwd=project).warnings == ()


def test_what_names_no_credential_is_not_warned_about(home, project):
    """Profiles, files and methods are no secrets."""
    (project / "cas.toml").write_text(
        '[stores.a]\nurl = "s3://b"\nprofile = "x"\nkms_key_id = "arn"\n'
        '[stores.b]\nurl = "gs://b"\ntoken = "anon"\n'
        '[stores.c]\nurl = "sftp://h/p"\nkey_file = "~/.ssh/id"\n'
    )

    assert find_store("a", environ=home, cwd=project).warnings == ()


def test_variables_that_the_driver_reads_are_shown_without_credentials():
    """Those of the URL's kind only."""
    environ = {"AWS_PROFILE": "p", "AWS_SESSION_TOKEN": "hunter2", "GOOGLE_CLOUD_PROJECT": "g"}

    assert driver_variables("s3://b", environ) == {"AWS_PROFILE": "p", "AWS_SESSION_TOKEN": "***"}
    assert driver_variables("gs://b", environ) == {"GOOGLE_CLOUD_PROJECT": "g"}
    assert driver_variables("/folder", environ) == {}


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

from __future__ import annotations

from pathlib import Path

CONFIG_KEYS = {
    "store", "remote", "project_file", "user_file", "user_file_exists", "home_folder",
    "cache_folder",
}  # fmt: skip


def test_init_tells_what_it_made(bare):
    """The document holds URL, id and chunk size; the size can be chosen."""
    document = bare.json("init", "here", "--chunk-size", "128KiB")

    assert set(document) == {"url", "store_id", "chunk_size", "create_if_absent"}
    assert document["chunk_size"] == 128 * 1024
    assert document["create_if_absent"] is True
    assert document["url"].endswith("/work/here")
    assert (bare.cwd / "here" / "cas.json").is_file()


def test_init_without_a_url_makes_the_store_in_force(bare):
    """What CAS_STORE names is created."""
    assert "created store" in bare("init").out
    assert Path(bare.environ["CAS_STORE"], "cas.json").is_file()


def test_init_tells_how_to_use_a_store_that_is_not_in_force(bare):
    """A line to paste, on standard error."""
    assert "export CAS_STORE=" in bare("init", "elsewhere").err


def test_a_store_is_never_made_twice(cas):
    """The second init leaves the store as it is."""
    assert cas.json("init", code=4)["error"]["code"] == "store-exists"


def test_the_first_put_makes_the_default_store_aloud(bare):
    """Where no store is named, put makes one and says where; reading makes none."""
    tool = bare.without_store()
    (tool.cwd / "file.txt").write_text("text\n")
    missing = tool.json("ls", code=3)
    assert missing["error"]["code"] == "store-not-found"
    assert not Path(tool.environ["CAS_HOME"], "store").exists()

    put = tool("put", "file.txt", "notes")

    assert put.out.startswith("notes:v0\n")
    assert "created the default store" in put.err
    assert Path(tool.environ["CAS_HOME"], "store", "cas.json").is_file()
    assert "default store" not in tool("put", "file.txt", "notes").err


def test_a_dry_run_makes_no_default_store(bare):
    """A plan for a store that is not there yet counts everything as new."""
    tool = bare.without_store()
    (tool.cwd / "file.txt").write_text("text\n" * 1000)

    plan = tool.json("put", "file.txt", "notes", "--dry-run")

    assert plan["new_bytes"] == 5000
    assert not Path(tool.environ["CAS_HOME"], "store").exists()


def test_put_makes_no_store_that_was_named(bare):
    """A store that the user named and that is not there is a mistake, and is told as one."""
    (bare.cwd / "file.txt").write_text("text\n")

    failed = bare("put", "file.txt", "notes", code=3)

    assert "named by CAS_STORE" in failed.err
    assert f"hint: cas init {bare.environ['CAS_STORE']}" in failed.err


def test_a_project_file_names_the_store(bare):
    """cas.toml here or above holds for every command."""
    tool = bare.without_store()
    (tool.cwd / "cas.toml").write_text('store = "main"\n[stores.main]\nurl = "kept/here"\n')
    (tool.cwd / "kept").mkdir()
    (tool.cwd / "file.txt").write_text("text\n")

    tool("init")
    tool("put", "file.txt", "notes")

    assert (tool.cwd / "kept" / "here" / "cas.json").is_file()
    assert tool.json("ls", "-s", "main")["artifacts"][0]["name"] == "notes"


def test_a_store_of_a_table_is_made_by_its_name(bare):
    """Its options come along, so hints name it by it."""
    (bare.cwd / "cas.toml").write_text('[stores.main]\nurl = "kept"\n')

    assert "hint: cas init main" in bare("ls", "-s", "main", code=3).err
    assert "hint: cas init main" in bare("doctor", "main", code=1).out
    assert "export CAS_STORE=main" in bare("init", "main").err


def test_config_tells_which_store_and_why(bare):
    """URL, who named it, and where settings and caches are."""
    document = bare.json("config")

    assert set(document) == CONFIG_KEYS
    assert document["store"] == {
        "url": bare.environ["CAS_STORE"],
        "source": "CAS_STORE",
        "origin": "CAS_STORE",
        "name": None,
        "options": [],
        "driver_options": {},
        "variables": {},
    }
    assert document["home_folder"] == bare.environ["CAS_HOME"]
    shown = bare.without_store()("config").out
    assert "no store was named" in shown


def test_config_tells_the_remote_and_who_named_it(bare):
    """Under its name, with the options of its table but none of its secrets."""
    (bare.cwd / "cas.toml").write_text(
        'remote = "prod"\n[stores.prod]\nurl = "s3://key:hunter2@bucket/x"\nregion = "eu-west-3"\n'
    )

    document = bare.json("config")["remote"]
    shown = bare("config").out

    assert (document["url"], document["name"]) == ("s3://bucket/x", "prod")
    assert document["driver_options"] == {"client_kwargs": {"region_name": "eu-west-3"}}
    assert f"remote   prod = s3://bucket/x  (named by {bare.cwd / 'cas.toml'})" in shown
    assert "hunter2" not in shown


def test_config_shows_no_secrets(bare):
    """Of options only the names are shown, of a URL neither user nor query."""
    (bare.cwd / "cas.toml").write_text(
        '[stores.main]\nurl = "s3://key:hunter2@bucket/x?token=hunter2"\n'
        'options = { secret = "hunter2" }\n'
    )

    for output in (bare("config", "-s", "main"), bare("config", "-s", "main", "--json")):
        assert "hunter2" not in output.out + output.err
        assert "secret" in output.out


def test_config_shows_the_drivers_options_and_variables(bare):
    """Settings in the user's words appear as what the driver is given."""
    (bare.cwd / "cas.toml").write_text(
        '[stores.main]\nurl = "s3://bucket/x"\nregion = "eu-west-3"\nanonymous = true\n'
    )

    shown = bare("config", "-s", "main", AWS_PROFILE="prod", AWS_SECRET_ACCESS_KEY="hunter2").out

    assert "options  client_kwargs.region_name = eu-west-3" in shown
    assert "options  anon = true" in shown
    assert "variable AWS_PROFILE = prod" in shown
    assert "variable AWS_SECRET_ACCESS_KEY = ***" in shown


def test_credentials_in_a_projects_file_are_warned_about(bare):
    """They work, and every command says that they do not belong there."""
    (bare.cwd / "cas.toml").write_text(
        '[stores.main]\nurl = "memory://x"\noptions = { secret = "hunter2" }\n'
    )

    warned = bare("config", "-s", "main")

    assert "warning: " in warned.err
    assert "stores.main.options.secret" in warned.err


def test_a_broken_settings_file_is_named(bare):
    """The line that cannot be read is told."""
    (bare.cwd / "cas.toml").write_text("store = \n")

    assert "cas.toml" in bare("ls", code=2).err


def test_every_local_byte_is_below_one_folder(cas, data, tmp_path):
    """With CAS_HOME set nothing is written to the user's home."""
    cas("put", "data", "imagenet")

    assert [path.name for path in (tmp_path / "home").iterdir()] == ["cas"]


def test_options_of_every_command_may_stand_before_it(cas, data):
    """`cas --json ls` is `cas ls --json`."""
    cas("put", "data", "imagenet")

    assert cas("--json", "ls").out == cas("ls", "--json").out
    assert cas("-q", "ls").out == "imagenet\n"

from __future__ import annotations


def test_a_healthy_store_exits_0(cas):
    """One line for each check, and the roles at the end."""
    shown = cas("doctor")

    lines = shown.out.splitlines()
    assert lines[0] == f"ok       settings   {cas.environ['CAS_STORE']}, named by CAS_STORE"
    assert not [line for line in lines if line.startswith("failed")]
    assert lines[-1] == "roles    reader, writer, collector"


def test_an_unhealthy_store_exits_1(bare):
    """What is wrong is told with what to do about it."""
    shown = bare("doctor", "elsewhere", code=1)

    assert "failed   store      there is no store here" in shown.out
    assert f"hint: cas init file://{bare.cwd}/elsewhere" in shown.out
    assert not (bare.cwd / "elsewhere").exists()


def test_the_document_has_every_check(cas):
    """Scripts find them by name."""
    document = cas.json("doctor", "--read-only")

    assert set(document) == {"url", "checks", "roles", "healthy"}
    assert set(document["checks"][0]) == {"name", "state", "text", "hint"}
    assert document["healthy"]
    assert {check["name"] for check in document["checks"]} >= {"settings", "reachable", "race"}
    assert document["roles"] == ["reader"]

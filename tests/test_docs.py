"""What the documents say is so: every command and public name is there, and the examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import cas
from cas.cli.main import COMMANDS
from cas.testing.trees import write_tree

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_in_the_specification_and_has_examples(name):
    """With its options, examples and exit codes, as its own help shows them."""
    page = (ROOT / "specs" / "cli.md").read_text(encoding="utf-8")
    section = page.partition(f"## cas {name}\n")[2].partition("\n## ")[0]

    assert f"Usage: cas {name}" in section
    assert "Examples:" in section
    assert "Exit codes:" in section


def test_the_page_of_the_tool_is_up_to_date():
    """It is what tools/docs/cli.py writes."""
    command = [sys.executable, ROOT / "tools" / "docs" / "cli.py", "--check"]

    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", cas.__all__)
def test_every_public_name_exists_and_says_what_it_is(name):
    """Lazy names load, and have a docstring of their own."""
    thing = getattr(cas, name)

    assert name in dir(cas)
    assert thing.__doc__


def test_python_in_the_readme_runs(tmp_path, monkeypatch):
    """As it stands, in a folder that has what the session above it made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CAS_STORE", str(tmp_path / "store"))
    write_tree(tmp_path / "data", {b"new.txt": b"new\n", b"old": b"old"})
    with cas.Store.create("store") as store:
        store.put("data", "packages", cas.PutOptions(provenance=False))
    (tmp_path / "data" / "more.txt").write_text("more\n", encoding="utf-8")
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )

    assert blocks
    for block in blocks:
        finished = subprocess.run([sys.executable, "-c", block], check=False, capture_output=True)
        assert finished.stderr == b""
        assert finished.returncode == 0


def test_links_between_documents_lead_somewhere():
    """Every relative link of every page."""
    broken = []
    for page in [
        *ROOT.glob("*.md"),
        *(ROOT / "specs").rglob("*.md"),
        *(ROOT / "tools").rglob("*.md"),
    ]:
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        broken += [f"{page}: {target}" for target in targets if not (page.parent / target).exists()]

    assert broken == []


def test_every_error_code_is_documented():
    """Codes are an interface: scripts match on them."""
    page = (ROOT / "specs" / "cli.md").read_text(encoding="utf-8")

    assert [code for code in cas.ErrorCode if f"`{code}`" not in page] == []

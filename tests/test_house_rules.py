"""What a machine can check of how the code is written: sizes, names, and where what may be used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "cas").rglob("*.py"))
FORMAT_MODULES = sorted((ROOT / "cas" / "format").glob("[!_]*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
WAITS_FOR_SERVERS = ("tests/contract/",)

MAXIMUM_FILE_LINES = 500
MAXIMUM_FUNCTION_LINES = 50
MAXIMUM_PARAMETERS = 6
MAXIMUM_CONSTRUCTOR_PARAMETERS = 8  # what a part works with is handed to it
BANNED = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "process"}
BANNED_ALONE = {"data", "info", "do"}  # "data blob" says something, "data" does not

# What is ambient or talks to people, and the only places that may use it.
CONFINED = {
    "print": (),
    "input": (),
    "os.environ": ("cas/cli/", "cas/environment.py"),
    "os.getenv": ("cas/cli/",),
    "sys.stdout": ("cas/cli/",),
    "sys.stderr": ("cas/cli/",),
    "time.time": ("cas/environment.py",),
    "time.time_ns": ("cas/environment.py",),
    "time.monotonic": ("cas/environment.py",),
    "time.sleep": ("cas/environment.py",),
    "datetime.now": (),
    "random": ("cas/testing/",),
    "secrets": (),
    "os.urandom": ("cas/environment.py",),
    "uuid": (),
    "pickle": ("cas/testing/",),
    "eval": (),
    "exec": (),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions_of(tree: ast.AST) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def lines_without_docstring(function: Function) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def parameters_of(function: Function) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument.arg for argument in every if argument.arg not in ("self", "cls")]


def most_parameters(function: Function) -> int:
    made = function.name == "__init__"
    return MAXIMUM_CONSTRUCTOR_PARAMETERS if made else MAXIMUM_PARAMETERS


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def used_names(tree: ast.Module) -> set[str]:
    """Return the names and dotted names that a module uses, and the modules that it imports."""
    used = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            used |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return used


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_can_be_read_in_one_sitting(path):
    """Files and functions are short, take few parameters, and a module says what it owns."""
    tree = parse(path)
    too_long = [
        function.name
        for function in functions_of(tree)
        if lines_without_docstring(function) > MAXIMUM_FUNCTION_LINES
    ]
    too_many = [
        function.name
        for function in functions_of(tree)
        if len(parameters_of(function)) > most_parameters(function)
    ]

    assert ast.get_docstring(tree), "no module docstring"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAXIMUM_FILE_LINES
    assert (too_long, too_many) == ([], [])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_something(path):
    """No module, class or function is called by a word that fits everything."""
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [path.stem, *(node.name for node in ast.walk(parse(path)) if isinstance(node, named))]
    words = {
        word.lower()
        for name in names
        for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
    }

    assert words & BANNED == set()
    assert {name.lower() for name in names} & BANNED_ALONE == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_is_ambient_is_passed_in(path):
    """Time, randomness, the environment and the terminal are touched in one place each."""
    name = name_of(path)
    used = used_names(parse(path))
    wrong = [
        word
        for word, places in CONFINED.items()
        if word in used and not any(name.startswith(place) for place in places)
    ]

    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_names_are_documented(path):
    """Every public class, function and method of a public class has a docstring."""
    tree = parse(path)
    missing = []
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            missing += [node.name] if ast.get_docstring(node) is None else []
            if isinstance(node, ast.ClassDef) and not is_protocol_implementation(node):
                missing += [
                    f"{node.name}.{method.name}"
                    for method in node.body
                    if isinstance(method, Function)
                    and not method.name.startswith("_")
                    and not is_override(method)
                    and ast.get_docstring(method) is None
                ]

    assert missing == []


def is_protocol_implementation(node: ast.ClassDef) -> bool:
    """Tell whether the class says that a protocol's docstrings hold for its methods."""
    text = ast.get_docstring(node) or ""
    return "See `" in text or any(name in node.name for name in ("Backend", "Clock"))


def is_override(method: Function) -> bool:
    """Tell whether the method is marked as fulfilling the contract of a base class."""
    return any(
        dotted(decorator).rpartition(".")[2] in ("override", "setter")
        for decorator in method.decorator_list
    )


@pytest.mark.parametrize("path", FORMAT_MODULES, ids=name_of)
def test_a_format_module_names_its_page(path):
    """Whoever reads the code of a format finds the page that fixes it, and that page exists."""
    text = ast.get_docstring(parse(path)) or ""
    pages = re.findall(r"specs/format/[\w.-]+\.md", text)

    assert pages, "no specs/format/*.md in the module's docstring"
    assert [page for page in pages if not (ROOT / page).is_file()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "specs" / "format").glob("*.md")), ids=name_of)
def test_a_page_names_its_module(path):
    """Whoever reads a page finds the code that implements it, and that code exists."""
    modules = re.findall(r"cas/[\w/]+\.py", path.read_text(encoding="utf-8"))

    assert modules, "no cas/*.py in the page"
    assert [module for module in modules if not (ROOT / module).is_file()] == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests_do_not_wait(path):
    """A test that sleeps is slow on one machine and wrong on another."""
    if not name_of(path).startswith(WAITS_FOR_SERVERS):
        assert "time.sleep" not in used_names(parse(path))

"""Hypothesis strategies for contents, trees of files, and histories of edits."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from cas.testing.corpora import periodic_content, random_content, text_content, weights_content
from cas.testing.trees import Tree

_ASCII_NAMES = st.text("abcXYZ019._- +%", min_size=1, max_size=6).map(str.encode)
_UNICODE_NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=3
).map(str.encode)
_BYTE_NAMES = st.binary(min_size=1, max_size=6).filter(lambda name: not set(name) & {0, 0x2F})
_FOLDERS = st.lists(st.sampled_from([b"a", b"b", b"data", b"a.b", b"a b"]), max_size=3)


def names(*, utf8_only: bool = False) -> st.SearchStrategy[bytes]:
    """Names of one file or folder: anything but `/`, NUL, `.` and `..`."""
    kinds = [_ASCII_NAMES, _UNICODE_NAMES] + ([] if utf8_only else [_BYTE_NAMES])
    return st.one_of(*kinds).filter(lambda name: name not in (b".", b".."))


def paths(*, utf8_only: bool = False) -> st.SearchStrategy[bytes]:
    """Relative paths that share folders now and then."""
    return st.builds(
        lambda folders, name: b"/".join([*folders, name]), _FOLDERS, names(utf8_only=utf8_only)
    )


def contents(max_size: int = 200_000) -> st.SearchStrategy[bytes]:
    """Contents of files, from empty to `max_size`: noise, text, weights, zeros, repeats."""
    seeds = st.integers(0, 5)
    sizes = st.integers(0, max_size)
    return st.one_of(
        st.binary(max_size=min(max_size, 300)),
        st.builds(random_content, seeds, sizes),
        st.builds(text_content, seeds, sizes),
        st.builds(weights_content, seeds, st.integers(0, max_size // 2)),
        st.builds(periodic_content, st.integers(1, 5000), sizes),
        st.builds(bytes, sizes),
    )


def trees(
    *, max_files: int = 8, max_size: int = 200_000, utf8_only: bool = False
) -> st.SearchStrategy[Tree]:
    """Trees that a file system can hold: no path is both a file and a folder."""
    return st.dictionaries(paths(utf8_only=utf8_only), contents(max_size), max_size=max_files).map(
        without_clashes
    )


@st.composite
def edited_trees(draw: st.DrawFn, tree: Tree, *, max_edits: int = 4) -> Tree:
    """A later state of `tree`: files added, removed, renamed, copied and edited inside."""
    edited = dict(tree)
    for _ in range(draw(st.integers(0, max_edits))):
        kind = draw(st.sampled_from(["add", "remove", "rename", "copy", "edit"]))
        if kind == "add" or not edited:
            edited[draw(paths())] = draw(contents())
            continue
        path = draw(st.sampled_from(sorted(edited)))
        if kind == "edit":
            edited[path] = draw(edited_contents(edited[path]))
        elif kind == "copy":
            edited[draw(paths())] = edited[path]
        else:
            content = edited.pop(path)
            if kind == "rename":
                edited[draw(paths())] = content
    return without_clashes(edited)


@st.composite
def edited_contents(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` with one stretch replaced by other bytes, of the same length or not."""
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, min(len(content), start + 1000)))
    new = draw(st.one_of(st.binary(max_size=100), st.just(bytes(stop - start))))
    return content[:start] + new + content[stop:]


@st.composite
def histories(draw: st.DrawFn, *, max_versions: int = 4) -> list[Tree]:
    """Successive states of one tree, each edited from the one before."""
    states = [draw(trees())]
    for _ in range(draw(st.integers(0, max_versions - 1))):
        states.append(draw(edited_trees(states[-1])))
    return states


def without_clashes(tree: Tree) -> Tree:
    """Return `tree` without the files whose path is also a folder of another file."""
    folders = {folder for path in tree for folder in _folders_of(path)}
    return {path: content for path, content in tree.items() if path not in folders}


def _folders_of(path: bytes) -> Iterable[bytes]:
    parts = path.split(b"/")
    return (b"/".join(parts[:count]) for count in range(1, len(parts)))

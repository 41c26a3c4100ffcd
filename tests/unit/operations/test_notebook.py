"""What notebooks show: safe whatever the names are, bounded whatever the size, never an error."""

from __future__ import annotations

import threading
from html.parser import HTMLParser

import pytest
from memory_stores import PLAIN, DistantBackend, memory_store, open_on, with_store

import cas
from cas.model import html
from cas.operations import notebook
from cas.operations.notebook import MOST_CHANGES, MOST_CHILDREN
from cas.testing.trees import write_tree

HOSTILE = {
    b"<script>alert(1)<": b"1",
    b"evil\x1b[31m\xe2\x80\xaegpj.exe\n": b"2",
    b"caf\xe9": b"3",
    b'"><img src=x onerror=alert(1)>/a&amp;b': b"4",
    b"x" * 200: b"5",
}
ALLOWED = {"div", "b", "span", "code", "table", "tr", "th", "td"}


class Page(HTMLParser):
    """Collects the text of a page; refuses what a card has no need of."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED
        assert [name for name, _ in attrs] in ([], ["style"])
        assert "url" not in str(attrs)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def text_of(shown: str | None) -> str:
    """Return the text of what a notebook is given, whose markup is checked."""
    assert shown is not None
    page = Page()
    page.feed(shown)
    page.close()
    assert page.open == []
    return page.text


@pytest.fixture
def store(tmp_path):
    """A store with two versions whose names, texts and metadata are hostile."""
    store = memory_store()
    tree = write_tree(tmp_path / "data", HOSTILE)
    texts = cas.PutOptions(
        description="</td><script>x</script>",
        message="turned \u202e round",
        metadata={"<k>": "</table>", "loss": 0.5},
        provenance=False,
    )
    store.put(tree, "pets", texts)
    (tree / "<b>new").write_text("new")
    (tree / "caf\udce9").write_text("other")
    store.put(tree, "pets", PLAIN)
    return store


def test_whatever_a_name_holds_it_is_shown_and_does_nothing(store, tmp_path):
    """In everything that a notebook shows: markup, controls, direction marks, broken UTF-8."""
    version = store.version("pets:v0")
    shown = [version, version.glob("**"), store.diff("pets:v0", "pets:v1")]

    texts = [text_of(one._repr_html_()) for one in shown]

    assert "<script>alert(1)<" in texts[0]
    assert "evil\\x1b[31m\\u202egpj.exe\\n" in texts[1]
    assert '"><img src=x onerror=alert(1)>/a&amp;b' in texts[1]
    assert "caf\\xe9" in texts[2]
    assert "turned \\u202e round" in texts[0]
    assert "<k></table>" in texts[0]
    assert not {"\x1b", "\u202e", "\udce9"} & set("".join(texts))


def test_outcomes_and_lists_are_shown(store, tmp_path):
    """What a put and a get did, the artifacts, the versions and one entry."""
    put = store.put(tmp_path / "data", "other", PLAIN)
    got = store.get("other", tmp_path / "<i>out")
    entry = store.version("other")["caf\udce9"]

    assert "other:v0 created" in text_of(put._repr_html_())
    assert "<i>out" in text_of(got._repr_html_())
    assert "pets" in text_of(store.artifacts()._repr_html_())
    assert "pets:v1" in text_of(store.versions("pets")._repr_html_())
    assert entry.hash.hex in text_of(entry._repr_html_())
    assert "no differences" in text_of(store.diff("other", "other")._repr_html_())


def test_lists_are_lists(store):
    """Whoever compares, slices or sorts them notices nothing."""
    assert store.artifacts() == list(store.artifacts())
    assert isinstance(store.versions("pets"), list)
    assert store.version("pets").glob("no*") == []


def test_a_diff_of_many_paths_shows_counts_and_the_first():
    """In path order, whatever happened to them."""
    changes = [cas.Change(kind="added", path=f"{at:06}", new_size=at) for at in range(100_000)]
    gone = cas.Change(kind="removed", path="000001a", old_size=7)

    shown = text_of(cas.Diff(added=tuple(changes), removed=(gone,))._repr_html_())

    assert "100,000 added" in shown
    assert "000001a" in shown
    assert "000048" in shown
    assert "000049" not in shown
    assert f"… and {100_001 - MOST_CHANGES:,} more" in shown


def test_tables_that_differ_are_shown_by_their_rows():
    """With columns that came, went or changed; what could not be compared has its reason."""
    column = cas.ColumnChange("<i>price", "BIGINT", None)
    table = cas.TableDiff(
        kind="modified", path="<b>t.csv", added=1234, changed=7, columns=(column,)
    )
    failure = cas.TableFailure("bad.csv", "it is no \x1b table")
    tables = (table, *(cas.TableDiff(kind="added", path=f"{n}.csv") for n in range(60)))

    shown = text_of(cas.RowsDiff(tables, (failure,), others=2)._repr_html_())

    for part in ("61 tables", "<b>t.csv", "1,234", "<i>price: BIGINT -> none", "… and 11 more"):
        assert part in shown
    assert "bad.csv: it is no \\x1b table" in shown
    assert "no differences" in text_of(cas.RowsDiff(())._repr_html_())


def test_folders_of_a_version_are_summed_up(tmp_path):
    """As long as that takes few pages."""
    store = memory_store()
    tree = {b"train/%03d/a" % at: b"1234" for at in range(30)} | {
        b"%03d" % at: b"" for at in range(30)
    }
    store.put(write_tree(tmp_path / "data", tree), "pets", PLAIN)

    shown = text_of(store.version("pets")._repr_html_())

    assert "train/30 files, 120 B" in shown
    assert "018" in shown
    assert "019" not in shown
    assert f"… and {31 - MOST_CHILDREN} more" in shown


def test_of_a_version_of_many_pages_few_are_read(tmp_path, monkeypatch):
    """The card shows the first that it finds, and reads no page but theirs."""
    monkeypatch.setattr(notebook, "FEW_PAGES", 1)
    tree = {b"z/%05d" % at: b"" for at in range(1500)} | {b"a%02d" % at: b"" for at in range(30)}
    backend = with_store(DistantBackend())
    open_on(backend).put(write_tree(tmp_path / "data", tree), "pets", PLAIN)
    store = open_on(backend)
    version = store.version("pets")
    pages = len(version._pages)
    before = store.requests.get

    shown = text_of(version._repr_html_())

    assert pages > 1
    assert store.requests.get - before <= 2  # the root and a page
    assert "a19" in shown
    assert "a20" not in shown
    assert "… and more" in shown


def test_a_store_that_is_gone_leaves_what_is_known(tmp_path):
    """The record is at hand; the card says why it lists no files."""
    backend = with_store(DistantBackend())
    open_on(backend).put(write_tree(tmp_path / "data", {b"a": b"1"}), "pets", PLAIN)
    version = open_on(backend).version("pets")
    for key in [found.key for found in backend.list_objects("meta")]:
        backend.delete(key)

    shown = text_of(version._repr_html_())

    assert "1 file, 1 B" in shown
    assert "cannot be read now" in shown


def test_a_store_that_does_not_answer_is_not_waited_for(store, monkeypatch):
    """The card comes without the files."""
    answered = threading.Event()
    monkeypatch.setattr(notebook, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(notebook, "_read_top", lambda pages: answered.wait(60))

    shown = text_of(store.version("pets")._repr_html_())
    answered.set()

    assert "did not answer in time" in shown


def test_showing_a_value_never_fails():
    """A notebook takes the plain text instead."""
    assert html.show_or_nothing(lambda: html.Markup(html.when(1 << 200))) is None


def test_long_texts_are_cut_in_the_middle():
    """What a name begins and ends with says most."""
    shown = html.plain("a" * 5000 + "b").text

    assert shown.endswith("aab")
    assert len(shown) < 400

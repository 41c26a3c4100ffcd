"""Every backend answers a sequence of calls as the dictionary does."""

from __future__ import annotations

import shutil
import tempfile
import uuid

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cas.backend.base import Backend
from cas.backend.local import LocalBackend
from cas.backend.memory import MemoryBackend
from cas.backend.open import open_backend
from cas.errors import CasError

# None is a folder of another: a disk cannot hold both.
KEYS = st.sampled_from(["top", "a/one", "a/two", "a/b/one", "a/b/c/one", "b/one", "b/x%2Fy"])
PREFIXES = st.sampled_from(["", "a", "a/b", "a/b/c", "b", "absent", "top"])
CONTENTS = st.binary(max_size=12)


class BackendsAgree(RuleBasedStateMachine):
    """The same calls on three backends, each answer compared."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.remote = open_backend(f"memory://agree-{uuid.uuid4().hex}/root")
        self.backends: list[Backend] = [
            MemoryBackend(),
            LocalBackend(self.folder, create_root=True),
            self.remote,
        ]

    def teardown(self) -> None:
        shutil.rmtree(self.folder)
        for found in self.remote.list_objects(""):
            self.remote.delete(found.key)

    def agree(self, call) -> None:
        answers = []
        for backend in self.backends:
            try:
                answers.append(call(backend))
            except CasError as error:
                answers.append((type(error), error.code))
        assert answers[1:] == answers[:-1]

    @rule(key=KEYS, parts=st.lists(CONTENTS, max_size=3))
    def put(self, key, parts):
        self.agree(lambda backend: backend.put(key, parts))

    @rule(key=KEYS, content=CONTENTS)
    def create(self, key, content):
        self.agree(lambda backend: backend.create(key, content))

    @rule(key=KEYS)
    def delete(self, key):
        self.agree(lambda backend: backend.delete(key))

    @rule(key=KEYS, start=st.integers(0, 15), stop=st.none() | st.integers(0, 40))
    def get(self, key, start, stop):
        self.agree(lambda backend: backend.get(key, start, stop))

    @rule(prefix=PREFIXES)
    def list_under(self, prefix):
        self.agree(lambda backend: sorted(backend.list_objects(prefix)))
        self.agree(lambda backend: backend.list_folders(prefix))

    @invariant()
    def all_hold_the_same(self):
        self.agree(lambda backend: sorted(backend.list_objects("")))


TestBackendsAgree = BackendsAgree.TestCase
TestBackendsAgree.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)

"""A writer's intents: what it is about to rely on, told to every collector beforehand.

Spec: specs/protocol/put.md, specs/format/09-session.md
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from cas.backend.base import Backend
from cas.environment import random_bytes
from cas.errors import BackendError
from cas.format import keys
from cas.format.session import Intent, encode_intent
from cas.model.ids import SESSION_ID_BYTES, SessionId

DELETE_THREADS = 4


class WriterSession:
    """One writer's run. Every intent goes under a new key; all are deleted together at the end."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._next = 0
        self._keys: list[str] = []
        self._deletions: list[Future[None]] = []
        self._held = False
        self.id = SessionId(random_bytes(SESSION_ID_BYTES))
        # The slot that the first final intent named. Later ones keep it, since a collector that
        # settles this session walks up from there.
        self.first_slot: int | None = None
        # Index segments written so far. A put that starts again writes under new keys, lest it
        # replaces the segment that leads to the blobs of its first try.
        self.segments = 0

    def renew(self) -> None:
        """Take a new id after this session was fenced; its own intents are left to the fencer."""
        self.id = SessionId(random_bytes(SESSION_ID_BYTES))
        self._next = 0
        self.segments = 0
        self.first_slot = None
        self.abandon()

    @property
    def next_intent(self) -> int:
        """The number that the next intent must carry."""
        return self._next

    def put_intent(self, intent: Intent) -> None:
        """Write an intent; when this returns it is durable.

        Raises:
            BackendError: it may or may not be stored; the session must not go on to its slot.
        """
        key = keys.intent_key(self.id, intent.k)
        self._next = intent.k + 1
        self._keys.append(key)
        self._backend.put(key, [encode_intent(intent)])

    def keep_last(self, count: int) -> None:
        """Delete all intents but the last ones. What cannot be deleted is left to a collector."""
        while len(self._keys) > count:
            with suppress(BackendError):
                self._backend.delete(self._keys[0])
            del self._keys[0]

    def hold(self) -> None:
        """Keep the intents, whatever ends this session, until it is released.

        For before a slot is asked for: an interruption may come between the request and whatever
        would deal with it.
        """
        self._held = True

    def release(self) -> None:
        """Let the intents go with this session: for certain, something stands in its slot."""
        self._held = False

    def abandon(self) -> None:
        """Leave the intents to a collector."""
        self._keys.clear()
        self._held = False

    def begin_close(self) -> None:
        """Begin to delete the intents, now that nothing needs them; `close` waits for that.

        Threads of a pool are waited for when the interpreter exits, so none is lost then. Intents
        that are held are left to a collector, which settles this session's slot.
        """
        if self._held:
            self.abandon()
        if not self._keys:
            return
        pool = ThreadPoolExecutor(DELETE_THREADS, thread_name_prefix="cas-session")
        try:
            self._deletions += [pool.submit(self._delete, key) for key in reversed(self._keys)]
            self._keys.clear()
        finally:
            pool.shutdown(wait=False)

    def close(self) -> None:
        """Delete the intents. What cannot be deleted is left to a collector."""
        self.begin_close()
        while self._deletions:
            self._deletions.pop().result()

    def _delete(self, key: str) -> None:
        # A leftover intent only delays collection; the next run settles the session.
        with suppress(BackendError):
            self._backend.delete(key)

"""What will be asked for soon is asked for while something else goes on.

Where each request takes a round trip, one that does not depend on another need not wait for it,
nor for the rest of a program to be imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeAlias

from cas.backend.base import Backend, Buffer, StoredObject
from cas.backend.forwarding import ForwardingBackend
from cas.errors import BackendError, CasError, ErrorCode

Request: TypeAlias = tuple[str, int, int | None] | str
Content: TypeAlias = bytes | list[StoredObject]


class ForeseeingBackend(ForwardingBackend):
    """Passes everything on to another backend; some requests were made before they are asked for.

    What a request answered that was foreseen is given once, to the first who asks the same: it
    shows the store as it was then. A write ends that, for whoever writes looks at what is there
    after it. Thread-safe.
    """

    def __init__(self, backend: Backend, foresights: Sequence[Callable[[Backend], object]]) -> None:
        """Begin to run each of `foresights`, in a thread of its own.

        They get a backend for reading. What it is asked for is answered from one table with what
        this backend is asked for meanwhile, so that nothing is fetched twice. Their failures are
        told to those who ask the same; a foresight that fails otherwise only foresees less.
        """
        super().__init__(backend)
        self._lock = threading.Lock()
        self._answers: dict[Request, _Answer] = {}
        self._left = len(foresights)
        self._has_ended = False
        self._threads = [
            threading.Thread(target=self._foresee, args=(act,), name=f"cas-ahead-{number}")
            for number, act in enumerate(foresights)
        ]
        for thread in self._threads:
            thread.start()

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object, as foreseen if they were."""
        answer = self._answer((key, start, stop), lambda: self._backend.get(key, start, stop))
        assert isinstance(answer, bytes)
        return answer

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder, as foreseen if it was."""
        answer = self._answer(prefix, lambda: list(self._backend.list_objects(prefix)))
        assert isinstance(answer, list)
        return iter(answer)

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Store an object."""
        self._end()
        self._backend.put(key, parts)

    def create(self, key: str, content: bytes) -> None:
        """Store an object unless it exists."""
        self._end()
        self._backend.create(key, content)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self._end()
        self._backend.delete(key)

    def close(self) -> None:
        """Close the backend, which ends its pauses; wait for what nobody asked for."""
        self._backend.close()
        for thread in self._threads:
            thread.join()

    def _foresee(self, act: Callable[[Backend], object]) -> None:
        try:
            # Whoever asks for what failed is told, or fails by itself.
            with suppress(CasError):
                act(_Ahead(self))
        finally:
            with self._lock:
                self._left -= 1
                if not self._left:
                    new = {asked: one for asked, one in self._answers.items() if one.is_new}
                    self._answers = new

    def _answer(self, request: Request, ask: Callable[[], Content]) -> Content:
        with self._lock:
            known = self._answers.get(request)
            if known is not None and known.is_new:
                known.is_new = False
            else:
                known, ours = None, _Answer(is_new=False)
                if self._left and not self._has_ended:
                    self._answers[request] = ours  # a foresight that comes to it takes it from here
        return ours.fill(ask) if known is None else known.wait()

    def _answer_ahead(self, request: Request, ask: Callable[[], Content]) -> Content:
        with self._lock:
            known = self._answers.get(request)
            ours = _Answer(is_new=True)
            if known is None and not self._has_ended:
                self._answers[request] = ours
        return ours.fill(ask) if known is None else known.wait()

    def _end(self) -> None:
        with self._lock:
            self._has_ended = True
            self._answers.clear()


class _Ahead(ForwardingBackend):
    """What a foresight reads by; the same asked for twice is answered from the table."""

    def __init__(self, foreseeing: ForeseeingBackend) -> None:
        super().__init__(foreseeing._backend)  # noqa: SLF001 - one of a pair
        self._answer = foreseeing._answer_ahead  # noqa: SLF001 - the same

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object."""
        answer = self._answer((key, start, stop), lambda: self._backend.get(key, start, stop))
        assert isinstance(answer, bytes)
        return answer

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Return what is under a folder."""
        answer = self._answer(prefix, lambda: list(self._backend.list_objects(prefix)))
        assert isinstance(answer, list)
        return iter(answer)


class _Answer:
    """What a request answers, for all who wait for it.

    Attributes:
        is_new: whether it is still to be given to the first who asks the same.
    """

    def __init__(self, *, is_new: bool) -> None:
        self.is_new = is_new
        self._is_there = threading.Event()
        self._content: Content | None = None
        self._error: CasError | None = None

    def fill(self, ask: Callable[[], Content]) -> Content:
        """Make the request."""
        try:
            self._content = ask()
        except CasError as error:
            self._error = error
            raise
        finally:
            self._is_there.set()
        return self._content

    def wait(self) -> Content:
        """Wait for whoever makes the request."""
        self._is_there.wait()
        if self._error is not None:
            raise self._error
        if self._content is None:
            raise BackendError("a request was broken off", code=ErrorCode.BACKEND_FAILED)
        return self._content

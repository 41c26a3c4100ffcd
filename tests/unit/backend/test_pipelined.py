"""Requests to a server of files go out before their answers come, and every answer is heard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cas.backend.pipelined import read_pipelined, write_pipelined


class Unheard:
    """A file as paramiko has it: without a word the answers to pipelined writes are dropped."""

    def __init__(self, refused_at: int | None = None) -> None:
        self.content = b""
        self._refused_at = refused_at
        self._is_pipelined = False
        self._answers: list[OSError | None] = []
        self.waits = 0

    def set_pipelined(self, wanted: bool) -> None:
        self._is_pipelined = wanted

    def write(self, content: memoryview) -> None:
        for start in range(0, len(content), 10):
            is_refused = len(self.content) == self._refused_at
            self._answers.append(OSError("no space left") if is_refused else None)
            self.content += content[start : start + 10]
            if not self._is_pipelined:
                self._wait()

    def _wait(self) -> None:
        self.waits += 1
        answers, self._answers = self._answers, []
        for answer in answers:
            if answer is not None:
                raise answer


def test_a_long_write_waits_once() -> None:
    """However many requests it takes."""
    file = Unheard()

    write_pipelined(file, b"0123456789" * 10)

    assert (file.content, file.waits) == (b"0123456789" * 10, 1)


def test_a_refusal_in_the_midst_of_a_write_is_heard() -> None:
    """A disk that is full makes no file with a hole."""
    with pytest.raises(OSError, match="no space left"):
        write_pipelined(Unheard(refused_at=30), b"0123456789" * 10)


@pytest.mark.parametrize(
    ("start", "stop", "right"),
    [(0, None, b"0123456789"), (2, 5, b"234"), (8, 20, b"89"), (10, 12, b"")],
)
def test_a_read_asks_for_all_of_it_before_it_takes_any(
    start: int, stop: int | None, right: bytes
) -> None:
    """And for nothing that is not there."""
    files = Prefetching()

    assert read_pipelined(files, "path", start, stop) == right  # type: ignore[arg-type]
    assert files.asked == ([(start, start + len(right))] if right else [])


class Prefetching:
    """A filesystem with one file, as paramiko's."""

    st_size = 10

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self._at = 0

    @contextmanager
    def open(self, path: str, mode: str) -> Iterator[Prefetching]:
        assert (path, mode) == ("path", "rb")
        yield self

    def stat(self) -> Prefetching:
        return self

    def seek(self, at: int) -> None:
        self._at = at

    def prefetch(self, stop: int) -> None:
        self.asked.append((self._at, stop))

    def read(self, size: int) -> bytes:
        return b"0123456789"[self._at : self._at + size]

"""Files behind paramiko without a round trip for every 32 KiB: requests first, answers after.

Files of other drivers are read and written as ever.
"""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem

from cas.backend.base import Buffer


def read_pipelined(
    filesystem: AbstractFileSystem, path: str, start: int, stop: int | None
) -> bytes:
    """Return bytes `start` to `stop` of a file, or to its end; fewer where it ends before."""
    with filesystem.open(path, "rb") as file:
        if prefetch := getattr(file, "prefetch", None):
            size = file.stat().st_size
            stop = size if stop is None else min(stop, size)
            if stop <= start:
                return b""
            file.seek(start)
            prefetch(stop)
        else:
            file.seek(start)
        return bytes(file.read() if stop is None else file.read(stop - start))


def write_pipelined(file: Any, content: Buffer) -> None:
    """Write to an open file; when this returns every part of it was answered.

    Raises:
        Exception: as the driver has it.
    """
    set_pipelined = getattr(file, "set_pipelined", None)
    if set_pipelined is None or not content:
        file.write(content)
        return
    set_pipelined(True)
    file.write(memoryview(content)[:-1])
    # Closing drops the answers that nobody waited for, refusals among them: the last byte waits.
    set_pipelined(False)
    file.write(memoryview(content)[-1:])

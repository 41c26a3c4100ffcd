"""The only source of time, randomness, CPU count and memory limit; and folders of one's own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cas.errors import ErrorCode, InvalidInputError

if sys.platform != "win32":
    import resource

MIB = 1 << 20
DEFAULT_MEMORY_BYTES = 192 * MIB
# Over a network it takes more than what is counted: clients hold a blob joined for them and buffers
# of each connection. Measured, a put of a large file peaks at 80 MiB and 1.6 times the budget; a
# larger one makes it no faster.
NETWORK_MEMORY_BYTES = 144 * MIB
MINIMUM_MEMORY_BYTES = 64 * MIB


class Clock(Protocol):
    """Tells the time. Nothing in the protocols of a store depends on it."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch, UTC."""
        return time.time_ns()


def monotonic_seconds() -> float:
    """Return seconds of a clock that never goes back, for speeds and intervals."""
    return time.monotonic()


def thread_blocks_read() -> int:
    """Return how many blocks were read from a disk for the calling thread; 0 where none can tell."""
    if sys.platform != "linux":
        return 0
    return resource.getrusage(resource.RUSAGE_THREAD).ru_inblock


def random_bytes(count: int) -> bytes:
    """Return `count` bytes from the system's secure source."""
    return os.urandom(count)  # what `secrets` returns, without the 7 ms of its import


def available_cpus() -> int:
    """Return how many CPUs this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def default_memory_bytes(*, is_local: bool = True) -> int:
    """Return the memory budget for data in flight: a quarter of the limit, at most 192 MiB.

    With a store behind a network it is at most 144 MiB.

    More does not make a transfer faster on the machines measured (`tools/bench`); less is taken
    where the container or machine has less.
    """
    largest = DEFAULT_MEMORY_BYTES if is_local else NETWORK_MEMORY_BYTES
    limit = _memory_limit_bytes()
    if limit is None:
        return largest
    return max(MINIMUM_MEMORY_BYTES, min(largest, limit // 4))


def _memory_limit_bytes() -> int | None:
    limits = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text(encoding="ascii")))
    with suppress(OSError, ValueError, AttributeError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=None)


def current_environ() -> Mapping[str, str]:
    """Return the environment as it is now, for the one-liners and for default folders."""
    return dict(os.environ)


def ensure_private_dir(path: Path) -> None:
    """Make a folder that only this user can use, or check that it is one.

    Raises:
        InvalidInputError: somebody else owns it or may write to it.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not hasattr(os, "geteuid"):
        return  # Windows: the profile folder is private there
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise InvalidInputError(
            f"{path} belongs to another user",
            code=ErrorCode.INVALID_CONFIG,
            hint="set CAS_HOME to a folder of your own",
        )
    if status.st_mode & 0o022:
        raise InvalidInputError(
            f"others may write to {path}",
            code=ErrorCode.INVALID_CONFIG,
            hint=f"chmod 700 {path}, or set CAS_HOME to another folder",
        )
    if status.st_mode & 0o077:
        path.chmod(0o700)

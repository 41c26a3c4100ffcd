"""What interrupted gets left in a target: temporary files whose makers are gone.

Big ones serve as seeds, so that what was fetched is not fetched again; all are removed once the
target is complete. In a folder where another get is at work nothing is touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable
from contextlib import suppress

from cas.errors import AlreadyExistsError
from cas.transfer.seeds import Seed
from cas.transfer.stamp import FileStamp
from cas.transfer.target import TEMPORARY_NAME, TargetTree

# Less is fetched again sooner than it is cut.
SMALLEST_SEED_BYTES = 1 << 20
# Each is held open. An interrupted get has as many as files were being written at that time.
MAXIMUM_HELD = 256


class Leftovers:
    """The leftovers below a target. Not thread-safe. To be closed."""

    def __init__(self, target: TargetTree) -> None:
        self._target = target
        self._held: list[tuple[bytes, int, Seed]] = []

    @property
    def seeds(self) -> list[Seed]:
        """The big ones."""
        return [seed for _, _, seed in self._held]

    def collect(self, folders: Iterable[bytes], wanted: Container[bytes]) -> None:
        """Look for leftovers in folders of the target; remove the little ones at once.

        Args:
            folders: paths relative to the target.
            wanted: paths that the version itself has; those are no leftovers.
        """
        for folder in folders:
            with self._target.left_behind(folder) as names:
                for name in names:
                    path = folder + b"/" + name if folder else name
                    if TEMPORARY_NAME.fullmatch(name) and path not in wanted:
                        with suppress(OSError, AlreadyExistsError):
                            self._take(path)

    def remove(self) -> None:
        """Remove them: the target is complete."""
        while self._held:
            path, descriptor, _ = self._held.pop()
            with suppress(OSError, AlreadyExistsError):
                self._target.remove(path)
            os.close(descriptor)

    def close(self) -> None:
        """Let go of those that were not removed, for the next get."""
        while self._held:
            os.close(self._held.pop()[1])

    def _take(self, path: bytes) -> None:
        if path.endswith(b"-link"):
            self._target.remove(path)  # takes no time to make again
            return
        descriptor = self._target.open_existing(path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return
            if status.st_size < SMALLEST_SEED_BYTES or len(self._held) >= MAXIMUM_HELD:
                self._target.remove(path)
                return
            held = os.dup(descriptor)
        finally:
            os.close(descriptor)
        seed = Seed(lambda: os.dup(held), FileStamp.of(status), is_leftover=True)
        self._held.append((path, held, seed))

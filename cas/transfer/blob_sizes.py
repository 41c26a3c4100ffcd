"""How large the next blob of a put is to be.

On this machine that is always the target. Over a network the first blobs are small, so that sending
begins while reading goes on and little is left to send when reading ends; and where the line is slow
they stay small, so that one upload that fails or is interrupted is not minutes of work.
"""

from __future__ import annotations

import threading

TARGET_BLOB_BYTES = 64 << 20
# What is asked for a blob costs as much as some 100 KiB; below this, that begins to count.
SMALLEST_BLOB_BYTES = 4 << 20
# Until one was sent and the line is known: at 10 Mbit/s, four at once take half a minute.
FIRST_BLOB_BYTES = 8 << 20
# A blob is at most this share of what was packed before: so much is left to send in the end.
SHARE_OF_PAST = 4
UPLOAD_SECONDS = 10.0
# How long less than this takes says how far away the storage is, not how fast the line.
TELLING_BYTES = 1 << 20
SMOOTHING = 0.5


class BlobSizes:
    """Says how many raw bytes a blob may have; learns from what was sent. Thread-safe."""

    def __init__(self, largest_bytes: int, *, is_local: bool) -> None:
        self._largest = min(TARGET_BLOB_BYTES, largest_bytes)
        self._is_local = is_local
        self._lock = threading.Lock()
        self._packed_bytes = 0
        self._speed: float | None = None

    @property
    def target_bytes(self) -> int:
        """The raw bytes at which a blob is full."""
        if self._is_local:
            return self._largest
        with self._lock:
            target = FIRST_BLOB_BYTES
            if self._speed is not None:
                target = max(target, self._packed_bytes // SHARE_OF_PAST)
                target = min(target, int(self._speed * UPLOAD_SECONDS))
            return min(self._largest, max(SMALLEST_BLOB_BYTES, target))

    def note_packed(self, raw_bytes: int) -> None:
        """Learn that a blob is full."""
        with self._lock:
            self._packed_bytes += raw_bytes

    def note_sent(self, raw_bytes: int, seconds: float) -> None:
        """Learn how long a blob took, beside whatever was sent at the same time."""
        if raw_bytes < TELLING_BYTES:
            return
        speed = raw_bytes / max(seconds, 1e-3)
        with self._lock:
            if self._speed is not None:
                speed = self._speed + SMOOTHING * (speed - self._speed)
            self._speed = speed

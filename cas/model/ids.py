"""Identifiers. A kind of its own for each, so a chunk id is never mistaken for a blob id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cas.errors import ErrorCode, InvalidInputError

DIGEST_BYTES = 32
SESSION_ID_BYTES = 16


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A BLAKE3-256 hash. Two digests are equal only if they are of the same kind."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != DIGEST_BYTES:
            raise InvalidInputError(
                f"a {type(self).__name__} has {DIGEST_BYTES} bytes, not {len(self.raw)}",
                code=ErrorCode.INVALID_OPTION,
            )

    @classmethod
    def from_hex(cls, text: str) -> Self:
        """Read 64 hexadecimal digits.

        Raises:
            InvalidInputError: `text` is not that.
        """
        try:
            raw = bytes.fromhex(text)
        except ValueError as error:
            raise InvalidInputError(
                f"{text!r} is not a hexadecimal digest", code=ErrorCode.INVALID_OPTION
            ) from error
        return cls(raw)

    @property
    def hex(self) -> str:
        """All 64 hexadecimal digits."""
        return self.raw.hex()

    @property
    def short(self) -> str:
        """The first 12 hexadecimal digits, for people."""
        return self.raw[:6].hex()

    def __str__(self) -> str:
        return self.raw.hex()


@dataclass(frozen=True, slots=True, order=True)
class ChunkId(Digest):
    """BLAKE3-256 of the raw bytes of a chunk."""


@dataclass(frozen=True, slots=True, order=True)
class BlobId(Digest):
    """BLAKE3-256 of the uncompressed table of a blob."""


@dataclass(frozen=True, slots=True, order=True)
class PageId(Digest):
    """BLAKE3-256 of the raw bytes of a manifest page or root."""


@dataclass(frozen=True, slots=True, order=True)
class FileHash(Digest):
    """BLAKE3-256 of a whole file, what `b3sum` prints."""


@dataclass(frozen=True, slots=True, order=True)
class VersionDigest(Digest):
    """The digest of everything a version holds; the same data has the same in any store."""


@dataclass(frozen=True, slots=True, order=True)
class SessionId:
    """128 random bits that name one writer's run."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != SESSION_ID_BYTES:
            raise InvalidInputError(
                f"a session id has {SESSION_ID_BYTES} bytes, not {len(self.raw)}",
                code=ErrorCode.INVALID_OPTION,
            )

    @property
    def hex(self) -> str:
        """All 32 hexadecimal digits."""
        return self.raw.hex()

    def __str__(self) -> str:
        return self.raw.hex()

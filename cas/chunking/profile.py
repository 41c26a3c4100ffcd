"""The parameters that decide where chunks end.

Spec: specs/format/04-chunking.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from cas.errors import ErrorCode, InvalidInputError

MINIMUM_AVERAGE: Final = 4 << 10
MAXIMUM_AVERAGE: Final = 1 << 20
DEFAULT_AVERAGE: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class ChunkProfile:
    """How long chunks are. Two stores share chunks only if their profiles are equal.

    Attributes:
        average: the length that chunks of random bytes gather around: a power of two from
            4 KiB to 1 MiB.
    """

    average: int = DEFAULT_AVERAGE

    NORMALISATION: ClassVar[Literal[2]] = 2

    def __post_init__(self) -> None:
        is_power_of_two = self.average > 0 and self.average & (self.average - 1) == 0
        if not is_power_of_two or not MINIMUM_AVERAGE <= self.average <= MAXIMUM_AVERAGE:
            raise InvalidInputError(
                f"{self.average} bytes cannot be the average length of chunks",
                code=ErrorCode.INVALID_OPTION,
                hint="take a power of two from 4KiB to 1MiB, such as 64KiB",
            )

    @property
    def minimum(self) -> int:
        """No chunk is shorter, but the last of a stream."""
        return self.average // 4

    @property
    def maximum(self) -> int:
        """No chunk is longer."""
        return self.average * 4

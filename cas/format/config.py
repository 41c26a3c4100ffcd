"""`cas.json`: what a store is, which features its readers, writers and collectors must know.

The one object for people to read, hence JSON. Spec: specs/format/03-config.md
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from cas.errors import CorruptionError, ErrorCode, InvalidInputError, UnsupportedError
from cas.format.encoding import KIB, MAX_RECORD_BYTES, MIB, Buffer, malformed, unsupported
from cas.format.fields import MAX_INTEGER, FieldReader

FORMAT_NAME = "cas"
FORMAT_VERSION = 1
MINIMUM_CHUNK_AVERAGE = 4 * KIB
MAXIMUM_CHUNK_AVERAGE = 1 * MIB
DEFAULT_FRAME_BYTES = 256 * KIB
MINIMUM_FRAME_BYTES = 16 * KIB
MAXIMUM_FRAME_BYTES = 1 * MIB

Purpose = Literal["read", "write", "gc"]

# Features that this release knows, by name.
KNOWN_FEATURES: frozenset[str] = frozenset()

_STORE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """What is fixed when a store is made.

    Attributes:
        store_id: 32 hexadecimal digits.
        chunk_average: bytes of a chunk on average; a power of two, 4 KiB to 1 MiB.
        frame_bytes: raw bytes that a frame should have; 16 KiB to 1 MiB.
        create_if_absent: whether the backend was seen to create objects atomically.
        must_read: features that a reader must know.
        must_write: features that a writer must know besides.
        must_gc: features that a collector must know besides.
        extra: fields of later releases, kept as they are.

    Raises:
        InvalidInputError: one of the sizes or the id is not allowed.
    """

    store_id: str
    created_ns: int
    chunk_average: int
    frame_bytes: int = DEFAULT_FRAME_BYTES
    create_if_absent: bool
    must_read: tuple[str, ...] = ()
    must_write: tuple[str, ...] = ()
    must_gc: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        average = self.chunk_average
        if (
            not MINIMUM_CHUNK_AVERAGE <= average <= MAXIMUM_CHUNK_AVERAGE
            or average & (average - 1) != 0
        ):
            raise InvalidInputError(
                f"chunks of {average} bytes on average are not allowed",
                code=ErrorCode.INVALID_OPTION,
                hint="take a power of two from 4 KiB to 1 MiB",
            )
        if not MINIMUM_FRAME_BYTES <= self.frame_bytes <= MAXIMUM_FRAME_BYTES:
            raise InvalidInputError(
                f"frames of {self.frame_bytes} bytes are not allowed",
                code=ErrorCode.INVALID_OPTION,
                hint="take 16 KiB to 1 MiB",
            )
        if not _STORE_ID.fullmatch(self.store_id):
            raise InvalidInputError(f"{self.store_id[:40]!r} cannot be the id of a store")


def encode_config(config: StoreConfig) -> bytes:
    """Return the bytes of `cas.json`: indented, keys sorted, ASCII, a newline at the end."""
    fields = {
        **config.extra,
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "store_id": config.store_id,
        "created_ns": config.created_ns,
        "chunk_average": config.chunk_average,
        "frame_bytes": config.frame_bytes,
        "create_if_absent": config.create_if_absent,
        "must_read": list(config.must_read),
        "must_write": list(config.must_write),
        "must_gc": list(config.must_gc),
    }
    return json.dumps(fields, indent=2, sort_keys=True, allow_nan=False).encode("ascii") + b"\n"


def decode_config(content: Buffer) -> StoreConfig:
    """Return what `cas.json` says. Its features are not checked: see `check_features`.

    Raises:
        CorruptionError: it is no `cas.json`.
        UnsupportedError: the store has a later format.
    """
    if len(content) > MAX_RECORD_BYTES:
        raise malformed("cas.json", f"{len(content)} bytes, the limit is {MAX_RECORD_BYTES}")
    try:
        decoded = json.loads(bytes(content).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise malformed("cas.json", f"not JSON ({type(error).__name__})") from error
    if type(decoded) is not dict:
        raise malformed("cas.json", "not a JSON object")
    fields = FieldReader(decoded, "cas.json")
    name = fields.text("format")
    if name != FORMAT_NAME:
        raise malformed("cas.json", f"describes a {name[:20]!r}, not a store of cas")
    version = fields.integer("version")
    if version != FORMAT_VERSION:
        raise unsupported("cas.json", f"store format {version}, this cas knows {FORMAT_VERSION}")
    try:
        return StoreConfig(
            store_id=fields.text("store_id"),
            created_ns=fields.integer("created_ns", low=-MAX_INTEGER),
            chunk_average=fields.integer("chunk_average"),
            frame_bytes=fields.integer("frame_bytes"),
            create_if_absent=fields.boolean("create_if_absent"),
            must_read=fields.texts("must_read"),
            must_write=fields.texts("must_write"),
            must_gc=fields.texts("must_gc"),
            extra=fields.rest(),
        )
    except InvalidInputError as error:
        raise CorruptionError(f"cas.json: {error}", code=ErrorCode.MALFORMED_OBJECT) from error


def check_features(config: StoreConfig, purpose: Purpose) -> None:
    """Refuse a store that needs a feature unknown to this release.

    Raises:
        UnsupportedError: naming the features.
    """
    needed = {
        "read": config.must_read,
        "write": config.must_read + config.must_write,
        "gc": config.must_read + config.must_write + config.must_gc,
    }[purpose]
    unknown = sorted(set(needed) - KNOWN_FEATURES)
    if unknown:
        raise UnsupportedError(
            f"to {purpose} this store, cas must know {', '.join(unknown)}",
            code=ErrorCode.UNSUPPORTED_FEATURE,
            hint="upgrade cas: pip install --upgrade cas-store",
        )

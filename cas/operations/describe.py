"""What a version says of itself: type, description, metadata, inputs, and who made it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cas.errors import ErrorCode, InvalidInputError
from cas.format.version import Lineage, VersionRecord
from cas.model.durations import span_or_never
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.operations.outcomes import DEFAULT_TYPE, PutOptions
from cas.operations.provenance import find_provenance
from cas.operations.resolve import resolve_record

MAXIMUM_TEXT_BYTES = 8 << 10
MAXIMUM_METADATA_BYTES = 32 << 10
MAXIMUM_TYPE_BYTES = 100
LINEAGE_BYTES = 128  # digest, store id, field names
MAXIMUM_INPUT_BYTES = 10 << 10  # a record has 64 KiB for all of these together


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The descriptive fields of a version record; `extra` are those of later releases.

    `expires_ns` is of this store alone: a copy of the version does not take it along.
    """

    type: str
    description: str
    message: str
    metadata: dict[str, Any]
    inputs: tuple[Lineage, ...]
    producer: dict[str, Any]
    expires_ns: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def describe_version(
    parts: StoreParts, newest: VersionRecord | None, options: PutOptions
) -> Description:
    """Check what the options say and look up the rest.

    Raises:
        InvalidInputError: a text or the metadata is too long, or not what JSON can hold.
        NotFoundError: an input version does not exist.
    """
    metadata = check_options(options)
    ttl_ns = span_or_never(options.ttl)
    last_type = newest.type if newest else DEFAULT_TYPE
    return Description(
        type=options.type or last_type,
        description=options.description,
        message=options.message,
        metadata=metadata,
        inputs=tuple(_lineage(parts, text) for text in options.inputs),
        producer=find_provenance(options.command) if options.provenance else {},
        expires_ns=None if ttl_ns is None else parts.clock.now_ns() + ttl_ns,
    )


def check_options(options: PutOptions) -> dict[str, Any]:
    """Refuse what no record can hold, before anything is stored; return the metadata as it will be
    recorded.
    """
    for name, text, limit in (
        ("description", options.description, MAXIMUM_TEXT_BYTES),
        ("message", options.message, MAXIMUM_TEXT_BYTES),
        ("type", options.type or "", MAXIMUM_TYPE_BYTES),
    ):
        _check_text(text, f"the {name}")
        if len(text.encode()) > limit:
            raise InvalidInputError(
                f"the {name} is longer than {limit} bytes",
                code=ErrorCode.INVALID_OPTION,
                hint="put long texts into a file of the version",
            )
    if sum(len(text) + LINEAGE_BYTES for text in options.inputs) > MAXIMUM_INPUT_BYTES:
        raise InvalidInputError(
            f"{len(options.inputs)} inputs are more than a record can hold",
            code=ErrorCode.INVALID_OPTION,
            hint="list them in a file of the version",
        )
    span_or_never(options.ttl)
    metadata: dict[str, Any] = _as_json(options.metadata, "metadata", 0)
    if _weight(metadata) > MAXIMUM_METADATA_BYTES:
        raise InvalidInputError(
            f"the metadata takes more than {MAXIMUM_METADATA_BYTES} bytes",
            code=ErrorCode.INVALID_OPTION,
            hint="put large values into a file of the version",
        )
    return metadata


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{where} is not Unicode text", code=ErrorCode.INVALID_OPTION
        ) from error


def _as_json(value: object, where: str, level: int) -> Any:
    """Return a value as JSON has it: no subclasses (NumPy's floats, enums), no views, no tuples."""
    if level > 6:
        raise InvalidInputError(f"{where} is nested too deep", code=ErrorCode.INVALID_OPTION)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise InvalidInputError(
                f"{where} is a number beyond 64 bits", code=ErrorCode.INVALID_OPTION
            )
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInputError(
                f"{where} is {value}, which JSON cannot hold", code=ErrorCode.INVALID_OPTION
            )
        return float(value)
    if isinstance(value, str):
        _check_text(value, where)
        return str.__str__(value)  # what it holds, whatever its class prints
    if isinstance(value, list | tuple):
        return [_as_json(item, f"{where}[{at}]", level + 1) for at, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {
            _as_key(key, where): _as_json(item, f"{where}.{key}", level + 1)
            for key, item in value.items()
        }
    raise InvalidInputError(
        f"{where} is a {type(value).__name__}, which JSON cannot hold",
        code=ErrorCode.INVALID_OPTION,
    )


def _as_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise InvalidInputError(
            f"{where} has a key that is no text: {key!r}", code=ErrorCode.INVALID_OPTION
        )
    _check_text(key, f"a key of {where}")
    return str.__str__(key)


def _weight(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode()) + 5
    if isinstance(value, list):
        return 5 + sum(map(_weight, value))
    if isinstance(value, dict):
        return 5 + sum(_weight(key) + _weight(item) for key, item in value.items())
    return 9


def _lineage(parts: StoreParts, text: str) -> Lineage:
    record = resolve_record(parts, Ref.parse(text)).record
    return Lineage(
        artifact=str(record.artifact),
        number=record.number,
        digest=record.digest,
        store_id=parts.config.store_id,
    )

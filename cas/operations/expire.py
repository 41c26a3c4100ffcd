"""Saying when a version may go by itself, later than its put. Spec: specs/format/07-version.md."""

from __future__ import annotations

from dataclasses import dataclass

from cas.errors import ErrorCode, InvalidInputError
from cas.model.durations import Span, span_or_never
from cas.model.names import Ref
from cas.objects.parts import StoreParts
from cas.objects.versions import add_expiry, read_expiry
from cas.operations.guarantees import require_create_if_absent
from cas.operations.resolve import resolve_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When a version may go by itself; None is never. `previous_ns` is what was said before."""

    artifact: str
    number: int
    expires_ns: int | None
    previous_ns: int | None


def set_ttl(parts: StoreParts, ref: Ref, ttl: Span | None) -> Expiry:
    """Let a version expire a span from now; None or `never` takes its end away.

    Counted from now and not from when it was made, so that no version is overdue at once unless
    that is asked for. What was said last counts.

    Raises:
        NotFoundError: there is no such version.
        InvalidInputError: it is no span of time, or the reference names a path.
        UnsupportedError: the storage cannot keep two writers apart.
    """
    require_create_if_absent(parts, "changing when a version expires")
    span_ns = span_or_never(ttl)
    if ref.path:
        raise InvalidInputError(
            f"{ref}: only a whole version can expire", code=ErrorCode.INVALID_REF
        )
    found = resolve_record(parts, ref)
    listing, record = found.listing, found.record
    now_ns = parts.clock.now_ns()
    expires_ns = None if span_ns is None else now_ns + span_ns
    previous = read_expiry(parts.backend, listing, record)
    if (expires_ns, previous) != (None, None):
        add_expiry(parts.backend, listing, record.number, expires_ns, now_ns)
    return Expiry(
        artifact=str(record.artifact),
        number=record.number,
        expires_ns=expires_ns,
        previous_ns=previous,
    )

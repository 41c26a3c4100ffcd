"""The sessions of writers and readers as a collector finds them: listed, and read.

Spec: specs/protocol/collection.md, specs/format/09-session.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cas.backend.base import Backend
from cas.errors import NotFoundError
from cas.format import keys
from cas.format.encoding import MAX_INTENT_BYTES, malformed
from cas.format.session import Intent, decode_intent
from cas.model.ids import SessionId
from cas.objects.workers import Workers


@dataclass(frozen=True, slots=True)
class ListedIntent:
    """An intent in a listing.

    Attributes:
        modified_ns: when it was stored, by the storage's clock; None if that does not tell.
    """

    key: str
    session: SessionId
    k: int
    size: int
    modified_ns: int | None


def list_intents(backend: Backend) -> dict[SessionId, list[ListedIntent]]:
    """Return every intent there is, by session, in the order in which they were put.

    Raises:
        BackendError: the listing failed.
    """
    found: dict[SessionId, list[ListedIntent]] = {}
    for stored in backend.list_objects(keys.sessions_prefix()):
        parsed = keys.parse_intent_key(stored.key)
        if parsed is not None:
            session, k = parsed
            listed = ListedIntent(stored.key, session, k, stored.size, stored.modified_ns)
            found.setdefault(session, []).append(listed)
    for session, intents in sorted(found.items()):
        found[session] = sorted(intents, key=lambda intent: intent.k)
    return dict(sorted(found.items()))


def read_intent(backend: Backend, listed: ListedIntent) -> Intent | None:
    """Return an intent, or None if it is gone: its writer has settled its slot.

    Raises:
        CorruptionError: it is damaged, or another's.
        UnsupportedError: a later cas wrote it.
    """
    try:
        content = backend.get(listed.key)
    except NotFoundError:
        return None
    intent = decode_intent(content, what=listed.key)
    if (intent.session, intent.k) != (listed.session, listed.k):
        raise malformed(listed.key, "is an intent of another session or number")
    return intent


def groups_by_size(intents: Sequence[ListedIntent]) -> Iterator[list[ListedIntent]]:
    """Yield the intents in groups that can be in memory at once."""
    group: list[ListedIntent] = []
    size = 0
    for intent in intents:
        if group and size + intent.size > MAX_INTENT_BYTES:
            yield group
            group, size = [], 0
        group.append(intent)
        size += intent.size
    if group:
        yield group


def read_intents(
    backend: Backend, intents: Sequence[ListedIntent], workers: Workers
) -> Iterator[tuple[ListedIntent, Intent | None]]:
    """Yield each intent with what `read_intent` gives; raises as that does."""
    for group in groups_by_size(intents):
        read = workers.map(lambda one: read_intent(backend, one), group)
        yield from zip(group, read, strict=True)

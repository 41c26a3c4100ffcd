"""Records that no version depends on: the index, the log of collections, intents, results.

What is damaged there costs time or space; no data is lost with it.
"""

from __future__ import annotations

from collections.abc import Callable

from cas.backend.base import Backend, StoredObject
from cas.errors import CorruptionError, NotFoundError, UnsupportedError
from cas.format import keys
from cas.format.collection import decode_condemn, decode_done, decode_floor, decode_verdict
from cas.format.segment import Segment, decode_segment
from cas.format.session import decode_intent
from cas.format.verification import decode_damage, decode_results
from cas.operations.verify_outcomes import Problem

_LOG = {
    "condemn": decode_condemn,
    "verdict": decode_verdict,
    "done": decode_done,
    "floor": decode_floor,
}


def check_records(backend: Backend, problems: list[Problem], unread: list[str]) -> None:
    """Read every such record; note what is damaged.

    Raises:
        BackendError: the storage failed.
    """
    found: list[Problem] = []
    superseded: set[str] = set()
    for prefix, kind in (
        (keys.index_prefix(), "index"),
        (keys.collections_prefix(), "log"),
        (keys.sessions_prefix(), "session"),
        (keys.results_prefix(), "log"),
    ):
        for stored in backend.list_objects(prefix):
            decode = _decoder_of(stored)
            if decode is None:
                continue  # litter, which is nobody's business
            try:
                value = decode(_read(backend, stored.key, decode))
                if isinstance(value, Segment):
                    superseded.update(value.supersedes)
            except NotFoundError:
                continue  # deleted since it was listed, as all of these may be
            except UnsupportedError as error:
                unread.append(str(error))
            except CorruptionError as error:
                text = str(error) if stored.key in str(error) else f"{stored.key}: {error}"
                found.append(Problem(kind=kind, key=stored.key, text=text, is_harmless=True))
    # Nobody reads a segment whose entries stand in another.
    problems += [one for one in found if one.key not in superseded]


def _read(backend: Backend, key: str, decode: Callable[[bytes], object]) -> bytes:
    """Read an object; once more if it looks damaged."""
    content = backend.get(key)
    try:
        decode(content)
    except CorruptionError:
        return backend.get(key)
    return content


def _decoder_of(stored: StoredObject) -> Callable[[bytes], object] | None:
    key = stored.key
    if keys.parse_segment_key(key) is not None:
        return lambda content: decode_segment(content, what=key)
    if keys.parse_intent_key(key) is not None:
        return lambda content: decode_intent(content, what=key)
    if keys.parse_damage_key(key) is not None:
        return lambda content: decode_damage(content, what=key)
    if keys.parse_results_key(key) is not None:
        return lambda content: decode_results(content, what=key)
    parsed = keys.parse_collection_key(key)
    if parsed is None:
        return None
    decode = _LOG[parsed[1]]
    return lambda content: decode(content, what=key)

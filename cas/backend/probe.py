"""What a real store guarantees, found out by trying."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from cas.backend.base import Backend
from cas.errors import AlreadyExistsError, BackendError, ErrorCode

_RACERS = 4


def probe_create_if_absent(backend: Backend, key: str) -> bool:
    """Race several `create` on `key`, which nobody else uses, and tell whether only one counts.

    True means: nobody was told success but the one whose bytes stand there, and a later `create`
    changed nothing. Some servers answer success to all and keep the last. The key is deleted
    at the end.

    Raises:
        BackendError: every attempt failed, so nothing is known.
    """
    contents = [b"%d of %s" % (racer, key.encode()) for racer in range(_RACERS)]
    barrier = threading.Barrier(_RACERS)

    def race(content: bytes) -> BackendError | bool:
        barrier.wait()
        return _try_create(backend, key, content)

    try:
        with ThreadPoolExecutor(_RACERS) as pool:
            answers = list(pool.map(race, contents))
        failures = [answer for answer in answers if isinstance(answer, BackendError)]
        if len(failures) == _RACERS:
            raise BackendError(
                f"{backend.url}: none of {_RACERS} writes got through", code=failures[0].code
            ) from failures[0]
        told_success = [
            content for content, answer in zip(contents, answers, strict=True) if answer is True
        ]
        stored = backend.get(key)
        late = _try_create(backend, key, b"late")
        if isinstance(late, BackendError):
            raise BackendError(
                f"{backend.url}: a second write of one key gave no answer",
                code=ErrorCode.BACKEND_FAILED,
            ) from late
        unchanged = backend.get(key) == stored
    finally:
        backend.delete(key)
    claims = backend.capabilities.create_if_absent
    return claims and late is False and unchanged and all(c == stored for c in told_success)


def _try_create(backend: Backend, key: str, content: bytes) -> BackendError | bool:
    """Return True for success, False for "exists", or the failure."""
    try:
        backend.create(key, content)
    except AlreadyExistsError:
        return False
    except BackendError as error:
        return error
    return True


def probe_listing(backend: Backend, folder: str) -> bool:
    """Tell whether listings show at once what was stored, below `folder`, which nobody else uses.

    Some servers leave a folder out when what it holds lies deeper than one level; a collection
    that misses the versions of an artifact would delete what they need. The object is deleted
    at the end.

    Raises:
        BackendError: a request failed, so nothing is known.
    """
    above, _, name = folder.rpartition("/")
    key = f"{folder}/one/two/object"
    backend.put(key, [b"to be listed"])
    try:
        listed = [found.key for found in backend.list_objects(folder)]
        return listed == [key] and name in backend.list_folders(above)
    finally:
        backend.delete(key)

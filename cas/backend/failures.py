"""Which error of cas a storage exception becomes. The only translator of them."""

from __future__ import annotations

import errno

from cas.backend.evidence import Evidence, gather_evidence, is_missing_bucket
from cas.backend.meanings import (
    ACCESS_DENIED,
    BY_CLASS,
    BY_OPTION,
    BY_STATUS,
    BY_WORD,
    DISK_FULL,
    NEVER_ASKED,
    NO_CONNECTION,
    NO_CREDENTIALS,
    STALLED,
    WRONG_REGION,
    Meaning,
    family_of,
    how_to_make,
    how_to_sign_in,
)
from cas.errors import (
    AlreadyExistsError,
    BackendError,
    CasError,
    ErrorCode,
    InvalidInputError,
    NotFoundError,
)
from cas.model.redaction import redact_text

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_UNREACHABLE = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
)
_UNTRUSTED = "SSLCertVerificationError"


def as_cas_error(
    error: Exception, where: str, *, writing: bool = False, of_store: bool = True
) -> CasError:
    """Return what `error`, raised by a request for `where`, means to a caller of a backend.

    Chain it: `raise as_cas_error(error, where) from error`. `writing` says that the request could
    not miss an object, only the place for it; `of_store`, that it is not a source or target.
    """
    evidence = gather_evidence(error)
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        if writing or is_missing_bucket(error):
            return missing_place(where)
        return NotFoundError(f"{where}: no such object", code=ErrorCode.OBJECT_NOT_FOUND)
    if isinstance(error, FileExistsError):
        return AlreadyExistsError(f"{where}: exists already", code=ErrorCode.OBJECT_EXISTS)
    if evidence.code == "ContainerNotFound":
        return missing_place(where)
    if NEVER_ASKED.intersection(evidence.names):
        return InvalidInputError(f"{where}: {describe(error)}", code=ErrorCode.INVALID_URL)
    meaning = _meaning_of(evidence)
    if meaning is None:
        return BackendError(
            f"{where}: {describe(error)}{_request(evidence)}", code=ErrorCode.BACKEND_FAILED
        )
    return BackendError(
        f"{where}: {_sentence(meaning, evidence)}{_request(evidence)}",
        code=meaning.code,
        hint=_hint(meaning, evidence, where, of_store=of_store),
    )


def missing_place(where: str) -> NotFoundError:
    """Return the error for a bucket, container or folder that is not there."""
    bucket = where.partition("://")[2].partition("/")[0]
    command = how_to_make(where, bucket)
    if command is None:
        return NotFoundError(
            f"{where}: there is no such bucket or folder", code=ErrorCode.STORE_NOT_FOUND
        )
    return NotFoundError(
        f"there is no bucket {bucket!r}, so no {where}",
        code=ErrorCode.STORE_NOT_FOUND,
        hint=f"check its name and the endpoint, or make it: {command}",
    )


def missing_credentials(where: str) -> BackendError:
    """Return the error for a place that cannot be asked without credentials."""
    return BackendError(
        f"{where}: {NO_CREDENTIALS.says}", code=NO_CREDENTIALS.code, hint=how_to_sign_in(where)
    )


def describe(error: BaseException) -> str:
    """Return what an exception says, in one line and without the secrets in it."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = " ".join(str(text).split()) or type(error).__name__
    return redact_text(text)


def _meaning_of(evidence: Evidence) -> Meaning | None:
    number = evidence.links[0].errno if isinstance(evidence.links[0], OSError) else None
    if number in _FULL:
        return DISK_FULL
    is_anonymous = any("anonymous caller" in str(link).lower() for link in evidence.links)
    if is_anonymous and evidence.status in (401, 403):
        return NO_CREDENTIALS  # gcsfs goes on without any when it finds none
    if meaning := BY_WORD.get(evidence.code):
        return meaning
    for name in evidence.names:
        if meaning := BY_CLASS.get(name):
            return meaning
    for link in evidence.links:
        if meaning := _meaning_of_builtin(link):
            return meaning
    return BY_STATUS.get(evidence.status or 0)


def _meaning_of_builtin(link: BaseException) -> Meaning | None:
    if isinstance(link, TimeoutError):
        return STALLED
    number = link.errno if isinstance(link, OSError) else None
    if isinstance(link, ConnectionRefusedError) or number in _UNREACHABLE:
        return NO_CONNECTION
    is_denied = isinstance(link, PermissionError) or number in _DENIED
    return ACCESS_DENIED if is_denied else None


def _sentence(meaning: Meaning, evidence: Evidence) -> str:
    if meaning is NO_CONNECTION:
        return f"cannot reach {evidence.endpoint or 'the server'}: {_why(evidence)}"
    if meaning is WRONG_REGION and evidence.region:
        return f"the bucket is in region {evidence.region}"
    detail = describe(evidence.links[0])
    if meaning is NO_CREDENTIALS and "ProfileNotFound" in evidence.names:
        return f"{meaning.says}: {detail}"
    if not meaning.with_detail:
        return meaning.says
    is_local = getattr(evidence.links[0], "errno", None) in _DENIED
    if not meaning.says or is_local:  # the system's word, such as "Permission denied", says it all
        return detail
    # "access denied: Access Denied." says nothing twice.
    is_empty = detail.strip(". ").lower() in (meaning.says, "forbidden", "")
    return meaning.says if is_empty else f"{meaning.says}: {detail}"


def _why(evidence: Evidence) -> str:
    """Return the innermost reason why no connection was made."""
    if _UNTRUSTED in evidence.names:
        return "its certificate is not trusted"
    if "gaierror" in evidence.names:
        return "no server of this name is known"
    if any(isinstance(link, ConnectionRefusedError) for link in evidence.links):
        return "the connection is refused"
    return describe(evidence.links[-1])


def _hint(meaning: Meaning, evidence: Evidence, where: str, *, of_store: bool) -> str:
    if meaning is NO_CREDENTIALS:
        return how_to_sign_in(where)
    if meaning is WRONG_REGION and evidence.region:
        other = "region in the store's table" if of_store else f"region=... {BY_OPTION}"
        return f"export AWS_REGION={evidence.region}, or {other}"
    if meaning is ACCESS_DENIED and family_of(where) == "file":
        return "check who owns it and its permissions"
    if _UNTRUSTED in evidence.names:
        other = "ca_bundle in the store's table" if of_store else f"ca_bundle=... {BY_OPTION}"
        return f"if the certificate is your own: {other}, or AWS_CA_BUNDLE"
    return meaning.hint if of_store else meaning.elsewhere or meaning.hint


def _request(evidence: Evidence) -> str:
    return f" (request id {evidence.request_id})" if evidence.request_id else ""

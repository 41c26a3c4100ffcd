"""What an exception of obstore says, brought into the shapes that other drivers give it.

obstore tells everything in one text: a sentence, the server's answer, and the layers of its own
error. Codes, statuses and reasons are read off that text; what cannot be read stays a failure that
may pass.
"""

from __future__ import annotations

import re
from typing import Any

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([\w.]+)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_REQUEST_ID = re.compile(r"<RequestId>([\w+/=-]+)</RequestId>")
_REGION = re.compile(r"<Region>([\w-]+)</Region>")
_NUMBER = re.compile(r"\bOs \{\s*code: (\d+),\s*kind: \w+,\s*message: \"([^\"]*)\"")
_URL = re.compile(r"https?://[^\s\"'<>/?]+")
_DEBUG = "\n\nDebug source:"
_WRONG_REGION = "incorrectly configured region"
_ELSEWHERE = frozenset({
    "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
})  # fmt: skip


class StorageAnswerError(OSError):
    """A server's refusal, in the shape in which botocore gives it."""

    def __init__(self, message: str, response: dict[str, Any]) -> None:
        super().__init__(message)
        self.response = response


def explain(error: Exception) -> OSError:
    """Return an exception that `as_cas_error` understands."""
    text = str(error)
    if isinstance(error, FileNotFoundError) or is_missing_bucket(error):
        return MissingObjectError(text)
    if is_wrong_region(error):
        return StorageAnswerError(_sentence(text), _response(text, 301, "PermanentRedirect"))
    if found := _STATUS.search(text):
        return StorageAnswerError(_sentence(text), _response(text, int(found.group(1))))
    if "kind: Timeout" in text:
        return TimeoutError(_sentence(text))
    reason = OSError(_sentence(text))
    if "dns error" in text:
        import socket  # 4 ms that only a failure need spend

        reason.__cause__ = socket.gaierror(socket.EAI_NONAME, "no such host")
    elif "certificate" in text.lower():
        reason.__cause__ = SSLCertVerificationError(_sentence(text))
    elif number := _NUMBER.search(text):
        reason.__cause__ = OSError(int(number.group(1)), number.group(2))
    return reason


class SSLError(OSError):
    """Named as in `ssl`, whose import only a failure would need."""


class SSLCertVerificationError(SSLError):
    """The same."""


class MissingObjectError(FileNotFoundError):
    """An absent object or bucket; the answer tells which."""

    def __init__(self, text: str) -> None:
        super().__init__(_sentence(text))
        self.response = _response(text, 404)


def is_missing_bucket(error: Exception) -> bool:
    """Tell whether not just the object but the bucket is absent."""
    found = _CODE.search(str(error))
    return found is not None and found.group(1) == "NoSuchBucket"


def is_wrong_region(error: Exception) -> bool:
    """Tell whether the bucket is elsewhere than the request was signed for."""
    text = str(error)
    found = _CODE.search(text)
    return _WRONG_REGION in text or (found is not None and found.group(1) in _ELSEWHERE)


def is_past_the_end(error: Exception) -> bool:
    """Tell whether a ranged read began behind the last byte."""
    found = _STATUS.search(str(error))
    return found is not None and found.group(1) == "416"


def _response(text: str, status: int, code: str | None = None) -> dict[str, Any]:
    def first(pattern: re.Pattern[str]) -> str | None:
        found = pattern.search(text)
        return found.group(1) if found else None

    return {
        "Error": {"Code": code or first(_CODE) or "", "Region": first(_REGION)},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": first(_REQUEST_ID)},
    }


def _sentence(text: str) -> str:
    """Return the server's own words if there are any, else the first line, the URL's host kept."""
    if found := _MESSAGE.search(text):
        return found.group(1).strip()
    line = text.partition(_DEBUG)[0].partition(": <?xml")[0].partition("\n")[0]
    endpoint = _URL.search(text)
    host = f" ({endpoint.group()})" if endpoint and "HTTP error" in line else ""
    return line.rpartition(" - ")[2].strip() + host or type(text).__name__

"""Names of artifacts and aliases, version numbers, and references such as `bert:v3/config.json`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cas.errors import ErrorCode, InvalidInputError

LATEST = "latest"
MAXIMUM_NAME_BYTES = 200
MINIMUM_DIGEST_DIGITS = 6
_URL = "cas://"

_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_NUMBER = re.compile(r"v(0|[1-9][0-9]{0,8})")
_DIGEST = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True, order=True)
class ArtifactName:
    """The name of a line of versions: `imagenet`, `team/bert`.

    Components of letters, digits, `.`, `_`, `+` and `-`, joined by `/`; none begins with a dot,
    a plus or a dash.
    """

    text: str

    def __post_init__(self) -> None:
        parts = self.text.split("/")
        if not all(_COMPONENT.fullmatch(part) for part in parts):
            raise InvalidInputError(
                f"{self.text!r} cannot be the name of an artifact",
                code=ErrorCode.INVALID_NAME,
                hint="use letters, digits, '.', '_', '+', '-', with '/' between parts: team/bert",
            )
        if len(self.text) > MAXIMUM_NAME_BYTES:
            raise InvalidInputError(
                f"the name {self.text[:40]!r}... is longer than {MAXIMUM_NAME_BYTES} characters",
                code=ErrorCode.INVALID_NAME,
            )

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, order=True)
class AliasName:
    """A movable name for a version: `production`. Never `latest`, `v3` or like a digest."""

    text: str

    def __post_init__(self) -> None:
        if self.text == LATEST:
            raise InvalidInputError(
                "'latest' always means the newest version and cannot be moved",
                code=ErrorCode.INVALID_NAME,
            )
        if not _COMPONENT.fullmatch(self.text) or len(self.text) > MAXIMUM_NAME_BYTES:
            raise InvalidInputError(
                f"{self.text!r} cannot be an alias",
                code=ErrorCode.INVALID_NAME,
                hint="use letters, digits, '.', '_', '+' and '-'",
            )
        if _NUMBER.fullmatch(self.text) or _DIGEST.fullmatch(self.text):
            raise InvalidInputError(
                f"{self.text!r} cannot be an alias: it reads like a version number or a digest",
                code=ErrorCode.INVALID_NAME,
            )

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference as a user writes it: artifact, version, path inside.

    At most one of `number`, `alias` and `digest_prefix` is set; none means `latest`.
    """

    artifact: ArtifactName
    number: int | None = None
    alias: AliasName | None = None
    digest_prefix: str | None = None
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read `name`, `name:v3`, `name:alias`, `name:<digest prefix>`, each with `/path` after
        the version; `@` is as good as `:`.

        Without a version the whole text is the artifact's name, since names may hold `/`.

        Raises:
            InvalidInputError: `text` is no reference.
        """
        if text.startswith(_URL):
            raise _is_url(text)
        match = re.search(r"[:@]", text)
        if match is None:
            return cls(ArtifactName(text))
        name = ArtifactName(text[: match.start()])
        version, _, path = text[match.end() :].partition("/")
        path = path.strip("/")
        if version in ("", LATEST):
            if not version:
                raise InvalidInputError(
                    f"{text!r} names no version after {match.group()!r}",
                    code=ErrorCode.INVALID_REF,
                    hint=f"write {name}:v0, {name}:latest or {name}",
                )
            return cls(name, path=path)
        if number := _NUMBER.fullmatch(version):
            return cls(name, number=int(number.group(1)), path=path)
        if _DIGEST.fullmatch(version):
            return cls(name, digest_prefix=version, path=path)
        return cls(name, alias=AliasName(version), path=path)

    @property
    def version_text(self) -> str:
        """The version part as written after the colon: `v3`, `production`, `latest`."""
        if self.number is not None:
            return f"v{self.number}"
        if self.alias is not None:
            return str(self.alias)
        return self.digest_prefix or LATEST

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        return f"{self.artifact}:{self.version_text}{path}"


def _is_url(text: str) -> InvalidInputError:
    ref = text.removeprefix(_URL).partition("::")[0]
    return InvalidInputError(
        f"{text!r} is a URL for libraries, where a reference is wanted",
        code=ErrorCode.INVALID_REF,
        hint=f"write {ref}" if re.search("[:@]", ref) else "write NAME:latest/PATH",
    )

"""Where each object lives. The only module that spells a key.

A parser answers None for a key that is not of its kind: other tools leave litter in buckets, and
litter is never an error. Spec: specs/format/01-layout.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from cas.errors import ErrorCode, InvalidInputError
from cas.model.ids import BlobId, SessionId
from cas.model.names import AliasName, ArtifactName

CONFIG = "cas.json"
BLOBS = "blobs"
META = "meta"
MAXIMUM_COMPONENT_BYTES = 255  # what file systems allow in one name

_ESCAPED = re.compile(r"[^A-Za-z0-9_.-]")
_ESCAPE = re.compile(rb"%([0-9A-F]{2})")
# Windows gives these names to devices, whatever extension follows.
_DEVICE = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(?=\.|$)")
_VERSION = re.compile(r"artifacts/[^/]+/versions/([0-9]{10})(?:\.([rme])([0-9]{4}))?")
_ALIAS = re.compile(r"artifacts/[^/]+/aliases/([^/]+)/([0-9]{8})")
_INTENT = re.compile(r"sessions/([0-9a-f]{32})/([0-9]{8})")
_SEGMENT = re.compile(r"index/(0|[1-9][0-9]?)-([0-9a-f]{32})-([0-9]{4})")
_COLLECTION = re.compile(r"gc/([0-9]{10})\.(condemn|verdict|done|floor)")
_DAMAGE = re.compile(r"gc/damage-([0-9]{10})-([0-9a-f]{32})")
_RESULTS = re.compile(r"verify/([0-9]{10})-([0-9a-f]{32})")
_BLOB = re.compile(r"(?:blobs|meta)/([0-9a-f]{2})/(\1[0-9a-f]{62})")

VersionKeyKind = Literal["slot", "revision", "move", "expiry"]
CollectionKeyKind = Literal["condemn", "verdict", "done", "floor"]

_VERSION_KINDS: dict[str, VersionKeyKind] = {"r": "revision", "m": "move", "e": "expiry"}
_COLLECTION_KINDS: dict[str, CollectionKeyKind] = {
    "condemn": "condemn",
    "verdict": "verdict",
    "done": "done",
    "floor": "floor",
}


@dataclass(frozen=True, slots=True)
class VersionKey:
    """What a key under `versions/` names; `k` is 0 for a slot."""

    number: int
    kind: VersionKeyKind
    k: int


def encode_component(text: str) -> str:
    """Return `text` as one path component that every file system and bucket can hold.

    Letters, digits, `_`, `-` and `.` stand for themselves; all else, and what Windows would not
    keep (a dot at either end, the names of devices), as `%XX` of its UTF-8 bytes. Different
    texts have different components. The case of letters is kept.

    Raises:
        InvalidInputError: the component would be empty or longer than 255 bytes.
    """
    encoded = _ESCAPED.sub(lambda found: _percent(found.group()), text)
    if encoded.startswith(".") or _DEVICE.match(encoded):
        encoded = _percent(encoded[0]) + encoded[1:]
    if encoded.endswith("."):
        encoded = encoded[:-1] + _percent(".")
    if not 0 < len(encoded) <= MAXIMUM_COMPONENT_BYTES:
        raise InvalidInputError(
            f"the name {text[:40]!r} is empty or too long once it is written as a key",
            code=ErrorCode.INVALID_NAME,
            hint="use a shorter name, or fewer '/' and '+' in it",
        )
    return encoded


def decode_component(component: str) -> str | None:
    """Return the text whose component this is, or None if it is the component of no text."""
    try:
        raw = component.encode("ascii")
        text = _ESCAPE.sub(lambda found: bytes.fromhex(found.group(1).decode()), raw).decode()
        return text if encode_component(text) == component else None
    except (UnicodeError, InvalidInputError):
        return None


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def blob_key(blob_id: BlobId) -> str:
    """Return the key of a data blob."""
    return f"{BLOBS}/{blob_id.hex[:2]}/{blob_id.hex}"


def meta_key(blob_id: BlobId) -> str:
    """Return the key of a blob of manifest pages."""
    return f"{META}/{blob_id.hex[:2]}/{blob_id.hex}"


def parse_blob_key(key: str) -> BlobId | None:
    """Return the id of the data or meta blob that `key` names."""
    found = _BLOB.fullmatch(key)
    return BlobId.from_hex(found.group(2)) if found else None


def artifacts_prefix() -> str:
    """Return the folder of all artifacts."""
    return "artifacts"


def artifact_prefix(name: ArtifactName) -> str:
    """Return the folder of an artifact."""
    return f"artifacts/{encode_component(str(name))}"


def parse_artifact_folder(name: str) -> ArtifactName | None:
    """Return the artifact whose folder under `artifacts/` is called `name`."""
    text = decode_component(name)
    try:
        return None if text is None else ArtifactName(text)
    except InvalidInputError:
        return None


def versions_prefix(name: ArtifactName) -> str:
    """Return the folder of an artifact's slots, revisions, moves and expiries."""
    return f"{artifact_prefix(name)}/versions"


def version_key(name: ArtifactName, number: int) -> str:
    """Return the key of slot `number`."""
    return f"{versions_prefix(name)}/{_digits(number, 10)}"


def revision_key(name: ArtifactName, number: int, k: int) -> str:
    """Return the key of revision `k` (from 1) of a version's locations."""
    return f"{version_key(name, number)}.r{_digits(k, 4)}"


def move_key(name: ArtifactName, number: int, k: int) -> str:
    """Return the key of move `k` of a version to the trash, back, or out of the store."""
    return f"{version_key(name, number)}.m{_digits(k, 4)}"


def expiry_key(name: ArtifactName, number: int, k: int) -> str:
    """Return the key of expiry `k`: when a version may go, as was said later than its put."""
    return f"{version_key(name, number)}.e{_digits(k, 4)}"


def parse_version_key(key: str) -> VersionKey | None:
    """Return what a key in an artifact's `versions/` names."""
    found = _VERSION.fullmatch(key)
    if found is None:
        return None
    number = int(found.group(1))
    if found.group(2) is None:
        return VersionKey(number, "slot", 0)
    return VersionKey(number, _VERSION_KINDS[found.group(2)], int(found.group(3)))


def aliases_prefix(name: ArtifactName) -> str:
    """Return the folder of an artifact's aliases."""
    return f"{artifact_prefix(name)}/aliases"


def alias_prefix(name: ArtifactName, alias: AliasName) -> str:
    """Return the folder of one alias's history."""
    return f"{aliases_prefix(name)}/{encode_component(str(alias))}"


def alias_key(name: ArtifactName, alias: AliasName, generation: int) -> str:
    """Return the key of a move of an alias."""
    return f"{alias_prefix(name, alias)}/{_digits(generation, 8)}"


def parse_alias_key(key: str) -> tuple[str, int] | None:
    """Return alias and generation of a key in an artifact's `aliases/`."""
    found = _ALIAS.fullmatch(key)
    text = decode_component(found.group(1)) if found else None
    if found is None or text is None:
        return None
    try:
        return AliasName(text).text, int(found.group(2))
    except InvalidInputError:
        return None


def sessions_prefix() -> str:
    """Return the folder of all sessions."""
    return "sessions"


def session_prefix(session: SessionId) -> str:
    """Return the folder of a session's intents."""
    return f"sessions/{session.hex}"


def intent_key(session: SessionId, k: int) -> str:
    """Return the key of a session's intent `k`."""
    return f"{session_prefix(session)}/{_digits(k, 8)}"


def parse_intent_key(key: str) -> tuple[SessionId, int] | None:
    """Return session and number of the intent that `key` names."""
    found = _INTENT.fullmatch(key)
    return (SessionId(bytes.fromhex(found.group(1))), int(found.group(2))) if found else None


def index_prefix() -> str:
    """Return the folder of the index."""
    return "index"


def segment_key(level: int, session: SessionId, k: int) -> str:
    """Return the key of segment `k` that a session made at a merge level (0 = unmerged)."""
    if not 0 <= level <= 99:
        raise ValueError(f"level {level} is not between 0 and 99")
    return f"index/{level}-{session.hex}-{_digits(k, 4)}"


def parse_segment_key(key: str) -> tuple[int, SessionId, int] | None:
    """Return level, session and number of the index segment that `key` names."""
    found = _SEGMENT.fullmatch(key)
    if found is None:
        return None
    return int(found.group(1)), SessionId(bytes.fromhex(found.group(2))), int(found.group(3))


def immutable_prefixes() -> tuple[str, ...]:
    """Return the folders whose objects are written once and never replaced."""
    return BLOBS, META, index_prefix(), artifacts_prefix()


def collections_prefix() -> str:
    """Return the folder of the records of collections."""
    return "gc"


def condemn_key(run: int) -> str:
    """Return the key of the candidates of a run."""
    return f"gc/{_digits(run, 10)}.condemn"


def verdict_key(run: int) -> str:
    """Return the key of what a run cleared."""
    return f"gc/{_digits(run, 10)}.verdict"


def done_key(run: int) -> str:
    """Return the key that says that all dead blobs of a run are deleted."""
    return f"gc/{_digits(run, 10)}.done"


def floor_key(run: int) -> str:
    """Return the key that says that records of runs up to this one have expired."""
    return f"gc/{_digits(run, 10)}.floor"


def parse_collection_key(key: str) -> tuple[int, CollectionKeyKind] | None:
    """Return run and kind of the record under `gc/` that `key` names."""
    found = _COLLECTION.fullmatch(key)
    if found is None:
        return None
    return int(found.group(1)), _COLLECTION_KINDS[found.group(2)]


def damage_key(number: int, session: SessionId) -> str:
    """Return the key of record `number` of what is damaged; `session` is its writer's mark.

    Every put lists this folder anyway, so it learns of damage without another request.
    """
    return f"gc/damage-{_digits(number, 10)}-{session.hex}"


def parse_damage_key(key: str) -> tuple[int, SessionId] | None:
    """Return number and mark of the record of damage that `key` names."""
    return _numbered(_DAMAGE, key)


def results_prefix() -> str:
    """Return the folder of the results of verification."""
    return "verify"


def results_key(number: int, session: SessionId) -> str:
    """Return the key of record `number` of when blobs were read; `session` is its writer's mark."""
    return f"verify/{_digits(number, 10)}-{session.hex}"


def parse_results_key(key: str) -> tuple[int, SessionId] | None:
    """Return number and mark of the record of results that `key` names."""
    return _numbered(_RESULTS, key)


def _numbered(pattern: re.Pattern[str], key: str) -> tuple[int, SessionId] | None:
    found = pattern.fullmatch(key)
    return (int(found.group(1)), SessionId(bytes.fromhex(found.group(2)))) if found else None


def _digits(number: int, width: int) -> str:
    """Return `number` with leading zeros, so that keys sort as their numbers do."""
    if not 0 <= number < 10**width:
        raise ValueError(f"{number} does not fit {width} digits")
    return f"{number:0{width}d}"

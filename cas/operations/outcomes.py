"""What a put and a get are told, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cas.model.durations import Span
from cas.model.entry import Totals
from cas.model.ids import VersionDigest
from cas.model.progress import Cancel, ProgressSink
from cas.operations.holes import Hole
from cas.transfer.tree import SkippedFile

DEFAULT_TYPE = "dataset"


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOptions:
    """How a put is done, and what is said of the version.

    Attributes:
        type: kind of artifact; None keeps the last version's, or "dataset".
        description: what the version is.
        message: why it was made.
        metadata: values as JSON has them, at most 32 KiB packed.
        aliases: names that will point to the version.
        ttl: after this span of time a collection moves the version to the trash, unless something
            keeps it; a `timedelta`, seconds, or a text like "30d". None and "never" keep it.
        force: make a new version even if nothing changed, or of nothing.
        if_parent: fail unless this is the newest version when the new one is published.
        exclude: patterns of paths to leave out, by gitignore rules.
        inputs: references to the versions that this one was made from.
        provenance: record command, git commit, host, user and Python version.
        path: name of the file when the source is a stream.
        source_options: credentials, endpoints and the like for a source that is a URL, in the words
            of settings or of the fsspec driver; recorded nowhere.
        jobs: threads that read, cut and compress; None takes the store's.
        command: the command line to record.
        progress: told how far it is.
        cancel: stops it.
    """

    type: str | None = None
    description: str = ""
    message: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    ttl: Span | None = None
    force: bool = False
    if_parent: str | None = None
    exclude: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    provenance: bool = True
    path: str | None = None
    source_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    jobs: int | None = None
    command: tuple[str, ...] | None = None
    progress: ProgressSink | None = None
    cancel: Cancel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOutcome:
    """What a put did. Sizes in bytes.

    Attributes:
        created: False if the newest version held this already.
        read_bytes: read from local files; unchanged files are not read.
        new_bytes: bytes of chunks that the store did not have, before compression.
        stored_bytes: what they take as data blobs.
        sent_bytes: everything written to the store.
        resumed_bytes: bytes found in what an interrupted put had stored already.
        refused_bytes: stored again though the store had them, to keep the version in few places.
        healed: the version was known to be damaged, and what was is stored anew from the source.
    """

    artifact: str
    number: int
    digest: VersionDigest
    created: bool
    totals: Totals
    read_bytes: int
    new_bytes: int
    stored_bytes: int
    sent_bytes: int
    resumed_bytes: int
    refused_bytes: int
    read_files: int
    reused_files: int
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...]
    aliases: tuple[str, ...]
    seconds: float
    healed: bool = False

    @property
    def ref(self) -> str:
        """The version as a reference: `name:v4`."""
        return f"{self.artifact}:v{self.number}"

    def _repr_html_(self) -> str | None:
        # Here, as in all methods of this name: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.operations.notebook import put_card

        return show_or_nothing(lambda: put_card(self))


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that would bring new bytes: size and new bytes, before compression."""

    path: str
    size: int
    new_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PutPlan:
    """What a put would do. Sizes in bytes; `requests` counts those that write or check."""

    artifact: str
    next_number: int
    changed: bool
    totals: Totals
    new_bytes: int
    stored_bytes: int
    sent_bytes: int
    requests: int
    blobs: int
    files: tuple[PlannedFile, ...]
    skipped: tuple[SkippedFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOptions:
    """How a get is done.

    Attributes:
        include: patterns of paths to get; empty means all.
        exclude: patterns of paths to leave out.
        overwrite: replace local files that differ.
        outside_links: make links that lead out of the target, too.
        verify_files: also hash every whole file and compare it with the manifest; None does so
            when the reference was a digest.
        allow_holes: where the store is damaged, write the rest and leave zeros; `holes` of the
            outcome tells where.
        seeds: local files or folders to take bytes from, whatever their names, such as a copy of
            an earlier version; only what none of them holds is fetched.
        pin: keep what the version needs in the store meanwhile, though it is deleted for good; see
            `Store.pin`.
        dest_options: credentials, endpoints and the like for a target that is a URL.
        jobs: threads; None takes the store's.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    overwrite: bool = False
    outside_links: bool = False
    verify_files: bool | None = None
    allow_holes: bool = False
    seeds: tuple[str, ...] = ()
    pin: bool = False
    dest_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    jobs: int | None = None
    progress: ProgressSink | None = None
    cancel: Cancel | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOutcome:
    """What a get did. Sizes in bytes; `files` counts those that the target holds now.

    Attributes:
        fetched_bytes: file content fetched from the store, compressed as it is there.
        written_bytes: size of the files that were written.
        copied_bytes: how many of those came out of local files: replaced ones, and seeds.
        resumed_bytes: how many came out of what an interrupted get had left in the target.
        unchanged_files: files that were there already.
        holes: what is missing in the files, or of whole files, with `allow_holes`.
    """

    artifact: str
    number: int
    digest: VersionDigest
    dest: str
    files: int
    size: int
    fetched_bytes: int
    written_bytes: int
    copied_bytes: int
    resumed_bytes: int
    unchanged_files: int
    skipped: tuple[SkippedFile, ...]
    seconds: float
    holes: tuple[Hole, ...] = ()

    def _repr_html_(self) -> str | None:
        # Here, as in all methods of this name: only a notebook needs these modules.
        from cas.model.html import show_or_nothing
        from cas.operations.notebook import get_card

        return show_or_nothing(lambda: get_card(self))

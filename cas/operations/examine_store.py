"""Going through what a backend allows, and what the store on it says of itself."""

from __future__ import annotations

from collections.abc import Callable

from cas.backend.base import Backend
from cas.backend.probe import probe_create_if_absent
from cas.environment import monotonic_seconds, random_bytes
from cas.errors import CasError, ErrorCode, NotFoundError
from cas.format import keys
from cas.format.config import StoreConfig, check_features, decode_config
from cas.model.units import format_size
from cas.operations.diagnosis import (
    Check,
    CheckState,
    Role,
    all_skipped,
    failed,
    failed_by,
    passed,
    skipped,
)

_LATENCY_TRIES = 3
_SILENT = frozenset(
    {
        ErrorCode.UNREACHABLE,
        ErrorCode.STALLED,
        ErrorCode.NO_CREDENTIALS,
        ErrorCode.THROTTLED,
        ErrorCode.BACKEND_FAILED,
    }
)
_WRITING = ("put", "create", "delete", "collect", "race")
_RIGHTS = ("list", "get", *_WRITING)
STORE_CHECKS = ("reachable", "store", *_RIGHTS)
_AS_READER = "for a reader this is as it should be: cas doctor --read-only"


class StoreExamination:
    """Goes through the checks of one backend and remembers what they found."""

    def __init__(self, backend: Backend, *, read_only: bool, name: str = "") -> None:
        self._backend = backend
        self._name = name or backend.url
        self._read_only = read_only
        self._config: StoreConfig | None = None
        self._scratch = f"{keys.sessions_prefix()}/probe-{random_bytes(8).hex()}"
        self._allowed: set[str] = set()
        self._is_placeless = False
        self.is_reachable = False

    @property
    def roles(self) -> tuple[Role, ...]:
        """What the rights found so far suffice for."""
        needed = {
            Role.READER: {"list", "get"},
            Role.WRITER: {"list", "get", "put", "create", "delete"},
            Role.COLLECTOR: {"list", "get", "put", "create", "delete", "collect"},
        }
        return tuple(role for role, rights in needed.items() if rights <= self._allowed)

    def run(self) -> list[Check]:
        """Make the checks, the later ones only if the earlier ones allow it."""
        reachable = self._check_reachable()
        if not self.is_reachable:
            return [reachable, *all_skipped(STORE_CHECKS[1:], "not reachable")]
        checks = [reachable, self._check_store()]
        if self._is_placeless:
            return [*checks, *all_skipped(_RIGHTS, "there is no place to try them")]
        checks.append(self._try("list", "allowed", self._list))
        checks.append(self._try("get", "allowed", self._get))
        if self._read_only:
            return checks + all_skipped(_WRITING, "nothing is written with --read-only")
        put = self._try("put", "allowed", self._put)
        if put.state is not CheckState.OK:
            return [*checks, put, *all_skipped(_WRITING[1:], "needs the right to put")]
        create = self._try("create", "allowed", self._create)
        delete = self._try("delete", "allowed below sessions/", self._delete)
        return [*checks, put, create, delete, self._check_collect(), self._check_race()]

    def _check_reachable(self) -> Check:
        seconds = []
        for _ in range(_LATENCY_TRIES):
            started = monotonic_seconds()
            try:
                self._backend.get(keys.CONFIG, 0, 1)
            except CasError as error:
                if error.code in _SILENT:
                    return failed_by("reachable", error)
            seconds.append(monotonic_seconds() - started)
        self.is_reachable = True
        return passed("reachable", f"answers in {min(seconds) * 1000:.1f} ms")

    def _check_store(self) -> Check:
        try:
            config = decode_config(self._backend.get(keys.CONFIG))
            check_features(config, "write")
        except NotFoundError as error:
            if error.code is ErrorCode.STORE_NOT_FOUND:
                self._is_placeless = True
                return failed_by("store", error)
            return failed("store", "there is no store here", f"cas init {self._name}")
        except CasError as error:
            return failed_by("store", error)
        self._config = config
        return passed(
            "store",
            f"id {config.store_id[:12]}, chunks of {format_size(config.chunk_average)}, "
            f"create-if-absent {'yes' if config.create_if_absent else 'no'}",
        )

    def _try(self, name: str, text: str, action: Callable[[], object]) -> Check:
        try:
            action()
        except CasError as error:
            is_reader = error.code is ErrorCode.ACCESS_DENIED and Role.READER in self.roles
            return failed(name, str(error.args[0]), _AS_READER if is_reader else error.hint)
        self._allowed.add(name)
        return passed(name, text)

    def _list(self) -> None:
        # Not the root: a policy may allow only what is below it.
        self._backend.list_folders(keys.sessions_prefix())

    def _get(self) -> None:
        try:
            self._backend.get(keys.CONFIG)
        except NotFoundError as error:
            # Whoever may read is told "not found", others "denied".
            if error.code is ErrorCode.STORE_NOT_FOUND:
                raise

    def _put(self) -> None:
        self._backend.put(self._scratch, [b"cas doctor"])

    def _create(self) -> None:
        self._backend.create(f"{self._scratch}-new", b"cas doctor")

    def _delete(self) -> None:
        for key in (self._scratch, f"{self._scratch}-new"):
            self._backend.delete(key)

    def _check_collect(self) -> Check:
        """See whether objects outside `sessions/` could be deleted, without making one to delete."""
        capabilities = self._backend.capabilities
        # File systems say "not there" first, and know no right for a part of a folder's names.
        if capabilities.local or not capabilities.atomic_listing:
            if "delete" not in self._allowed:
                return skipped("collect", "needs the right to delete")
            self._allowed.add("collect")
            return passed("collect", "deleting is allowed everywhere")
        try:
            # Nothing has this name. A server says "denied" before it says "not there".
            self._backend.delete(f"gc/{self._scratch.rpartition('/')[2]}")
        except CasError as error:
            if error.code is not ErrorCode.ACCESS_DENIED:
                return failed_by("collect", error)
            return passed("collect", "not allowed: enough for writers, who delete only sessions/")
        self._allowed.add("collect")
        return passed("collect", "deleting is allowed everywhere")

    def _check_race(self) -> Check:
        if "delete" not in self._allowed:
            return skipped("race", "needs the right to delete below sessions/")
        try:
            only_one_wins = probe_create_if_absent(self._backend, f"{self._scratch}-race")
        except CasError as error:
            return failed_by("race", error)
        recorded = None if self._config is None else self._config.create_if_absent
        if only_one_wins:
            return passed("race", "of several writers that create one object, one wins")
        text = "of several writers that create one object, more than one may be told that it won"
        if recorded is False:
            return passed("race", f"{text}, as cas.json says: one writer at a time")
        return failed(
            "race", text, "take a backend with conditional writes, or one writer at a time"
        )

"""A filesystem of fsspec that fails as real drivers do, around any other one.

It stands below the translation of errors, so what a test meets is what a user would: through
`cas.backend.fsspec_backend.FsspecBackend` or through a URL. No protocol is registered by itself.

    >>> import fsspec
    >>> from cas.testing.fault_plan import Fault, FaultPlan
    >>> fsspec.register_implementation("faulty", FaultyFileSystem)
    >>> plan = FaultPlan(seed=1)
    >>> options = {"target_protocol": "memory", "plan": plan}
    >>> with cas.Store.create("faulty://bucket/store", storage_options=options) as store:
    ...     plan = plan.fail_nth("create", 1, Fault.FAIL_AFTER, key="versions/")
    ...     outcome = store.put(folder + "/digits", "digits")  # the reply about its slot is lost
    >>> outcome.ref, outcome.created
    ('digits:v0', True)
    >>> [(one.kind, one.key.rpartition("/")[2]) for one in plan.log if one.fault]
    [('create', '0000000000')]
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from cas.testing.driver_errors import REFUSALS, TRANSIENT_ERRORS
from cas.testing.fault_plan import Failures, FaultPlan, Operation

ErrorMakers = Sequence[Callable[[], Exception]]

# fsspec's memory checks and writes in two steps; an object store does it in one.
_CREATING = threading.Lock()


class FaultyFileSystem(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """Passes calls on to another filesystem, except for the faults that its plan asks for.

    Kinds of operations bear fsspec's names (`cat_file`, `pipe_file`, `rm_file`, `find`, `ls`, `mv`,
    `makedirs`, `info`, `cp_file`, `open`); a `pipe_file(mode="create")` is a `create`. Keys are
    paths without protocol; of two paths it is the one that is written. To whoever asks for its
    protocol it is what it wraps, and a `create` on memory is one step, as on an object store.
    What `open` returns is the wrapped filesystem's own: opening may fail, reading does not.

    Several instances may share a plan; two plans on one wrapped filesystem are two clients of it.
    Use `cas.testing.driver_errors` to choose what failures look like.
    """

    protocol: str | tuple[str, ...] = "faulty"
    cachable = False

    def __init__(
        self,
        fs: AbstractFileSystem | None = None,
        *,
        target_protocol: str | None = None,
        target_options: Mapping[str, Any] | None = None,
        plan: FaultPlan | None = None,
        errors: ErrorMakers | None = None,
        **options: Any,
    ) -> None:
        """Wrap `fs`, or the filesystem that `target_protocol` and `target_options` name.

        Args:
            fs: the filesystem that holds the objects.
            target_protocol: names it where `fs` is not given.
            target_options: what it is made with.
            plan: what fails; by default nothing does.
            errors: what a failure raises, chosen by the plan's chance; by default any of
                `TRANSIENT_ERRORS`.
            options: those of every filesystem of fsspec.
        """
        super().__init__(**options)
        if fs is None:
            fs = fsspec.filesystem(target_protocol, **(target_options or {}))
        self.fs = fs
        self.plan = plan or FaultPlan()
        self._errors = tuple(errors or TRANSIENT_ERRORS.values())
        wrapped = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
        self.protocol = ("faulty", *wrapped)
        # On the instance: around a driver without a listing of its own this one has none either, and
        # goes by a walk with one `ls` for each folder, fsspec's or that of cas.
        if _lists_at_once(type(fs)):
            self.find = self._find_at_once

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Return bytes of a file, or meet a fault."""
        content: bytes = self._run(
            "cat_file", path, lambda: bytes(self.fs.cat_file(path, start=start, end=end, **kwargs))
        )
        return content

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write a file, or meet a fault."""
        # A late effect must not see what the caller does with its buffer meanwhile.
        kept = bytes(value)
        if mode == "create":
            self._run("create", path, lambda: self._create(path, kept, **kwargs))
        else:
            self._run("pipe_file", path, lambda: self.fs.pipe_file(path, kept, **kwargs))

    def rm_file(self, path: str) -> None:
        """Delete a file, or meet a fault."""
        self._run("rm_file", path, lambda: self.fs.rm_file(path))

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Move a file, or meet a fault. How atomic that is is up to the wrapped filesystem."""
        self._run("mv", path2, lambda: self.fs.mv(path1, path2, **kwargs))

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy a file, or meet a fault."""
        self._run("cp_file", path2, lambda: self.fs.cp_file(path1, path2, **kwargs))

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
        """Make a folder and those above it, or meet a fault."""
        self._run("makedirs", path, lambda: self.fs.makedirs(path, exist_ok=exist_ok))

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:  # noqa: FBT001, FBT002
        """Make a folder, or meet a fault."""
        self._run("mkdir", path, lambda: self.fs.mkdir(path, create_parents, **kwargs))

    def _describe(self, path: str, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._run("info", path, lambda: self.fs.info(path, **kwargs))
        return found

    info = _describe  # fsspec calls it so

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:  # noqa: FBT001, FBT002
        """List one folder, or meet a fault."""
        found: list[Any] = self._run(
            "ls", path, lambda: list(self.fs.ls(path, detail=detail, **kwargs))
        )
        return found

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what the wrapped filesystem has cached."""
        self.fs.invalidate_cache(path)

    def _find_at_once(
        self, path: str, maxdepth: int | None = None, *, detail: bool = False, **kwargs: Any
    ) -> Any:
        kwargs.pop("on_error", None)  # of walks
        found = self._run("find", path, lambda: self.fs.find(path, maxdepth, detail=True, **kwargs))
        return found if detail else sorted(found)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        return self._run("open", path, lambda: self.fs.open(path, mode=mode, **kwargs))

    def _create(self, path: str, content: bytes, **kwargs: Any) -> None:
        with _CREATING if isinstance(self.fs, MemoryFileSystem) else nullcontext():
            self.fs.pipe_file(path, content, mode="create", **kwargs)

    def _run(self, kind: str, path: str, effect: Callable[[], object]) -> Any:
        operation = self.plan.begin(kind, self._strip_protocol(path))
        return self.plan.finish(operation, effect, Failures(self._failed, self._exists))

    def _failed(self, operation: Operation) -> Exception:
        return self._choose(operation, self._errors)

    def _exists(self, operation: Operation) -> Exception:
        return self._choose(operation, tuple(REFUSALS.values()))

    def _choose(self, operation: Operation, makers: ErrorMakers) -> Exception:
        return makers[int(self.plan.chance(operation.number, "error") * len(makers))]()


def _lists_at_once(kind: type[AbstractFileSystem]) -> bool:
    """Tell whether a class of filesystems has a listing of its own that goes to any depth."""
    if issubclass(kind, AsyncFileSystem):
        return kind._find is not AsyncFileSystem._find  # noqa: SLF001 - the half that drivers write
    return kind.find is not AbstractFileSystem.find

"""Runs clients of one store side by side, one storage operation at a time, in an order of choice.

Each actor has a thread of its own, but only one of them ever runs: each waits before every storage
operation until it is let through. So a schedule, a list of names, decides everything.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from cas.backend.base import Backend
from cas.backend.forwarding import ForwardingBackend
from cas.format import keys
from cas.testing.fault_plan import CrashError, FaultPlan
from cas.testing.faulty import FaultyBackend

# Far more than any actor needs between two operations; else it waits for another thread.
PATIENCE_SECONDS = 60


class AbandonedError(BaseException):
    """The rest of this schedule is of no interest: the actor ends here."""


@dataclass(frozen=True, slots=True)
class Request:
    """A storage operation that an actor is about to make."""

    kind: str
    key: str

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.kind in ("get", "list_objects", "list_folders")

    def depends_on(self, other: Request) -> bool:
        """Tell whether it matters which of the two comes first."""
        if self.reads and other.reads:
            return False
        return _covers(self, other) or _covers(other, self)


def _covers(one: Request, other: Request) -> bool:
    if one.kind in ("list_objects", "list_folders"):
        return not one.key or other.key == one.key or other.key.startswith(f"{one.key}/")
    return one.key == other.key


@dataclass(eq=False)
class Actor:
    """One client: what it does, and how far it is."""

    name: str
    act: Callable[[Backend], Any]
    plan: FaultPlan = field(default_factory=FaultPlan)
    request: Request | None = None  # what it waits for
    made: list[Request] = field(default_factory=list)  # what it was let through to
    has_ended: bool = False
    answer: Any = None
    error: BaseException | None = None
    random_calls: int = 0
    _may_go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _stands: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _is_abandoned: bool = False

    def start(self, truth: Backend) -> None:
        """Run until it is about to make its first operation."""
        backend = GatedBackend(FaultyBackend(truth, plan=self.plan), self)
        thread = threading.Thread(target=self._run, args=(backend,), name=self.name, daemon=True)
        CURRENT[thread] = self
        thread.start()
        self._wait()

    def go_on(self) -> None:
        """Make the operation that it waits for, and run until the next one or its end."""
        self._may_go.release()
        self._wait()

    def abandon(self) -> None:
        """End it, whatever it is at."""
        self._is_abandoned = True
        while not self.has_ended:
            self.go_on()

    def pause(self, request: Request) -> None:
        """Wait to be let through; called by the actor's own thread."""
        if self._is_abandoned:
            raise AbandonedError
        self.request = request
        self._stands.release()
        self._may_go.acquire()
        if self._is_abandoned:
            raise AbandonedError
        self.made.append(request)

    def _wait(self) -> None:
        if not self._stands.acquire(timeout=PATIENCE_SECONDS):
            raise AssertionError(f"{self.name} neither ends nor asks for anything")

    def _run(self, backend: Backend) -> None:
        try:
            self.answer = self.act(backend)
        except BaseException as error:  # noqa: BLE001 - looked at by whoever runs the schedule
            self.error = error
        finally:
            del CURRENT[threading.current_thread()]
            self.has_ended = True
            self.request = None
            self._stands.release()


CURRENT: dict[threading.Thread, Actor] = {}


class GatedBackend(ForwardingBackend):
    """Lets its actor through only when the schedule says so."""

    def __init__(self, backend: Backend, actor: Actor) -> None:
        super().__init__(backend)
        self._actor = actor

    def get(self, key, start=0, stop=None):
        # What never changes is in nobody's way.
        if key != keys.CONFIG:
            self._actor.pause(Request("get", key))
        return self._backend.get(key, start, stop)

    def put(self, key, parts):
        self._actor.pause(Request("put", key))
        self._backend.put(key, parts)

    def create(self, key, content):
        self._actor.pause(Request("create", key))
        self._backend.create(key, content)

    def delete(self, key):
        self._actor.pause(Request("delete", key))
        self._backend.delete(key)

    def list_objects(self, prefix):
        self._actor.pause(Request("list_objects", prefix))
        return iter(list(self._backend.list_objects(prefix)))

    def list_folders(self, prefix):
        self._actor.pause(Request("list_folders", prefix))
        return self._backend.list_folders(prefix)


class Stopped(Exception):  # noqa: N818 - what a chooser raises to end a schedule early
    """Nothing new can come of this schedule."""


Chooser = Callable[[Mapping[str, Request]], str]


def run_schedule(truth: Backend, actors: Sequence[Actor], choose: Chooser) -> list[str]:
    """Run all actors to their ends and return the schedule: who made each operation.

    Args:
        choose: given what each actor that has not ended waits for, names the one to let through.

    Raises:
        Stopped: by `choose`; all actors have been ended.
    """
    schedule: list[str] = []
    by_name = {actor.name: actor for actor in actors}
    try:
        for actor in actors:
            actor.start(truth)
        while waiting := {a.name: a.request for a in actors if a.request is not None}:
            name = choose(waiting)
            schedule.append(name)
            by_name[name].request = None
            by_name[name].go_on()
    finally:
        for actor in actors:
            if actor.request is not None:
                actor.abandon()
    return schedule


# One thread an actor ---------------------------------------------------------------------------


_submit = ThreadPoolExecutor.submit


def submit_at_once(pool: ThreadPoolExecutor, act, /, *args, **kwargs) -> Future[Any]:
    """Do in an actor's thread what was meant for another one, before anything else."""
    if threading.current_thread() not in CURRENT:
        return _submit(pool, act, *args, **kwargs)
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    try:
        future.set_result(act(*args, **kwargs))
    except (CrashError, AbandonedError):
        raise
    except BaseException as error:  # noqa: BLE001 - as a pool does
        future.set_exception(error)
    return future


def random_by_actor(count: int, _real=os.urandom) -> bytes:
    """Return bytes that depend on the actor and on how often it asked, and not on the schedule."""
    actor = CURRENT.get(threading.current_thread())
    if actor is None:
        return _real(count)
    actor.random_calls += 1
    seed = f"{actor.name} {actor.random_calls}".encode()
    return blake2b(seed, digest_size=max(1, min(count, 64))).digest()[:count]

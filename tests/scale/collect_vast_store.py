"""Does things to a vast store, and tells what each of them cost, as JSON.

python collect_vast_store.py STORE_FOLDER STATE_FOLDER SHAPE_AS_JSON STEP...
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vast_store import Shape, VastBackend

import cas
from cas.backend.open import open_backend

# Nothing is too young; and of a store that is mostly garbage most may go.
OPTIONS = cas.CollectOptions(
    policy=None, overrides=frozenset({cas.BrakeKind.TOO_MUCH}), grace_seconds=1
)


def plan(store: cas.Store) -> dict[str, Any]:
    found = store.plan_collection(OPTIONS)
    return {"garbage": found.garbage.blobs, "brakes": len(found.brakes)}


def collect(store: cas.Store) -> dict[str, Any]:
    outcome = store.collect_garbage(OPTIONS)
    return {"deleted": outcome.deleted.blobs, "runs": len(outcome.runs)}


def measure(store: cas.Store) -> dict[str, Any]:
    usage = store.usage_by_blobs()
    return {"versions": len(usage.versions), "blobs": usage.blobs, "freed": usage.freed_bytes}


def verify(store: cas.Store) -> dict[str, Any]:
    outcome = store.verify()
    return {"pages": outcome.pages, "blobs": outcome.blobs, "is_sound": outcome.is_sound}


STEPS: dict[str, Callable[[cas.Store], dict[str, Any]]] = {
    "plan": plan,
    "plan again": plan,
    "collect": collect,
    "measure": measure,
    "verify": verify,
}


def peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    folder, state, shape, *steps = sys.argv[1:]
    backend = VastBackend(open_backend(folder), Shape(**json.loads(shape)))
    told = {}
    with cas.Store.on(backend, options=cas.StoreOptions(cache_dir=Path(state))) as store:
        for step in steps:
            before, cpu, started = Counter(backend.counts), time.process_time(), time.monotonic()
            found = STEPS[step](store)
            told[step] = {
                "requests": dict(sorted((backend.counts - before).items())),
                "cpu_seconds": round(time.process_time() - cpu, 1),
                "seconds": round(time.monotonic() - started, 1),
                "peak_bytes": peak_bytes(),
                **found,
            }
            sys.stderr.write(f"{step} {json.dumps(told[step])}\n")
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()

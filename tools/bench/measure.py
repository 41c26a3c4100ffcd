"""Measuring one command: wall time, CPU time, peak memory; sizes of folders; a place for results.

Keep this module and its importers light: the kernel starts a child's peak memory at that of the
process that spawned it, so a harness that had loaded NumPy would hide how small a peer is.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MIB = 1 << 20
RESULTS_FOLDER = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and in which folder."""

    argv: Sequence[str | Path]
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took. `peak_mib` is that of the largest process it started."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


class CommandFailed(SystemExit):
    """A command failed; unless it is caught, that ends the benchmark with its last words."""


def run(
    command: Command, environ: Mapping[str, str], *, limit_seconds: float | None = None
) -> Cost:
    """Run a command to its end and return its cost; after the limit it is killed.

    What was written before is flushed first, so that no command pays for the one before it.

    Raises:
        CommandFailed: its exit code is not 0, or it took too long.
    """
    os.sync()
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        running = subprocess.Popen(
            [str(word) for word in command.argv],
            cwd=command.folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        limit = threading.Timer(limit_seconds or threading.TIMEOUT_MAX, running.kill)
        limit.daemon = True
        limit.start()
        try:
            _, status, usage = os.wait4(running.pid, 0)
        except BaseException:
            running.kill()  # it must not go on, unmeasured, beside what comes next
            raise
        finally:
            limit.cancel()
        wall = time.perf_counter() - start
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode:
            errors.seek(0)
            line = shlex.join(str(word) for word in command.argv)
            message = errors.read()[-4000:].decode(errors="replace")
            if limit_seconds is not None and wall >= limit_seconds:
                raise CommandFailed(f"not done after {limit_seconds:.0f} s: {line}\n{message}")
            raise CommandFailed(f"exit code {running.returncode}: {line}\n{message}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Return the median of the times, and the highest peak."""
    return Cost(
        statistics.median(cost.wall_seconds for cost in costs),
        statistics.median(cost.cpu_seconds for cost in costs),
        max(cost.peak_mib for cost in costs),
    )


def read_all(folder: Path) -> None:
    """Bring the files of a folder into memory.

    borg tells the system to forget what it read, so whoever came next would read from the disk.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(8 * MIB):
                    pass


def cas_environ(home: Path) -> dict[str, str]:
    """Return an environment in which `cas` keeps its local state in `home` and knows no store."""
    kept = {name: value for name, value in os.environ.items() if name != "CAS_STORE"}
    return kept | {"CAS_HOME": str(home)}


def allocated_bytes(folder: Path) -> int:
    """Return the disk space that a file or folder takes, its folders and holes accounted for."""
    seen = {(status.st_dev, status.st_ino): status.st_blocks for status in _iter_status(folder)}
    return sum(seen.values()) * 512


def apparent_bytes(folder: Path) -> int:
    """Return the sum of the sizes of all regular files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _iter_status(path: Path) -> Iterator[os.stat_result]:
    # Recursion on scandir: a million paths must not be in memory at once.
    yield path.lstat()
    if path.is_dir() and not path.is_symlink():
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _iter_status(Path(entry.path))
                else:
                    yield entry.stat(follow_symlinks=False)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as a Markdown table with aligned columns."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(f"| {' | '.join(cells)} |", flush=True)


def verdict(value: float, limit: float) -> str:
    """Return PASS if `value` is at most `limit`, otherwise MISS."""
    return "PASS" if value <= limit else "MISS"


def machine() -> dict[str, Any]:
    """Return what is needed to judge figures later; nothing that names the machine."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def save_results(folder: Path, part: str, results: Mapping[str, Any]) -> Path:
    """Write `results` under `part` in today's file in `folder`; other parts stay."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.datetime.now(datetime.UTC).date().isoformat()}.json"
    parts = json.loads(path.read_text()) if path.exists() else {}
    parts |= {"machine": machine(), part: results}
    path.write_text(json.dumps(parts, indent=1, sort_keys=True) + "\n")
    return path


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes: how to call cas, where to work and save."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for stores and copies; emptied afterwards")
    parser.add_argument("--cas", type=shlex.split, default=["cas"], help="how to call cas")
    parser.add_argument("--results", type=Path, default=RESULTS_FOLDER, help="where JSON goes")
    return parser

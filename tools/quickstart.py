"""The main job of cas on real files, each command shown with its output. Run by tools/quickstart."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".quickstart"
CAS = Path(sys.executable).with_name("cas")
NAME = "packages"


def main() -> None:
    """Put, edit and get a copy of the folder named on the command line."""
    source = Path(sys.argv[1])
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    # The user's folder is only read: what is edited below is a copy.
    subprocess.run(["cp", "-a", str(source), str(WORK / "data")], check=True)
    print(f"a copy of {source} is in {WORK / 'data'}; every command below runs in {WORK}")
    cas("init", "store")
    cas("put", "data", NAME, "-m", "as it came")
    edit(WORK / "data")
    cas("put", "data", NAME, "-m", "edited")
    cas("put", "data", NAME)
    cas("log", NAME)
    cas("diff", f"{NAME}:v0", f"{NAME}:v1")
    cas("get", f"{NAME}:v0", "v0")
    cas("get", f"{NAME}:v1", "v1")
    compare(source, WORK / "v0")
    compare(WORK / "data", WORK / "v1")
    cas("du")
    print(f"\nall files came back the same; to clean up: rm -r {WORK} {ROOT / '.venv'}")


def cas(*words: str) -> None:
    """Show and run a command of cas, on a store and with caches inside the working folder."""
    print(f"\n$ {shlex.join(['cas', *words])}", flush=True)
    environ = {
        **os.environ,
        "CAS_STORE": str(WORK / "store"),
        "CAS_HOME": str(WORK / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",  # the default input is the folder that cas runs from
    }
    finished = subprocess.run([str(CAS), *words], cwd=WORK, env=environ, check=False)
    if finished.returncode != 0:
        sys.exit(finished.returncode)


def edit(folder: Path) -> None:
    """Change the largest file in the middle, rename one, remove one and add one."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if not files:
        sys.exit(f"error: {folder} holds no files")
    largest = max(files, key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    middle = len(content) // 2
    largest.chmod(largest.stat().st_mode | 0o200)
    largest.write_bytes(content[:middle] + b"a few bytes more" + content[middle:])
    print(f"\n# 16 bytes inserted into {largest.relative_to(folder)} ({len(content):,} bytes)")
    others = [path for path in files if path != largest]
    if len(others) >= 2:
        renamed = others[0].with_name(f"renamed-{others[0].name}")
        others[0].rename(renamed)
        others[-1].unlink()
        print(f"# {others[0].relative_to(folder)} renamed to {renamed.name}")
        print(f"# {others[-1].relative_to(folder)} removed")
    (folder / "new.txt").write_text("new in this version\n", encoding="utf-8")
    print("# new.txt added")


def compare(left: Path, right: Path) -> None:
    """Compare two trees byte for byte with diff."""
    command = ["diff", "-r", str(left), str(right)]
    if sys.platform == "linux":
        command.insert(2, "--no-dereference")
    print(f"\n$ {shlex.join(command)}", flush=True)
    start = time.monotonic()
    finished = subprocess.run(command, check=False)
    if finished.returncode != 0:
        sys.exit("error: what came back differs")
    print(f"the same, in {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    main()

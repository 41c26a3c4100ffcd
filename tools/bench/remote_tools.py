"""How each tool is called on a bucket of an S3 server."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import Command
from s3_server import BUCKET

PREFIX = "v"
REMOTE = f"s3://{BUCKET}/{PREFIX}"
TOOLS = ("cas", "cas-s3fs", "restic", "s5cmd", "rclone", "boto3", "dvc")
BOTO3_COPY = Path(__file__).with_name("boto3_copy.py")


def nothing(*_: object) -> None:
    """Prepare nothing."""


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """How a tool is called, and what it needs around that, which is not measured.

    `get_one` takes a file's path below the set. `is_exact` says whether what is got is what was put
    last, without files of an earlier put; `inside` is the folder of the target where it lies.
    """

    put: Callable[[Path], Command]
    get: Callable[[Path], Command]
    get_one: Callable[[Path, str], Command]
    init: Sequence[Command] = ()
    before_put: Callable[[Path], None] = nothing
    before_get: Callable[[], None] = nothing
    environ: Mapping[str, str] = field(default_factory=dict)
    is_exact: bool = True
    inside: str = ""


def cas_tool(cas: list[str], work: Path, url: str, *, with_obstore: bool) -> RemoteTool:
    """Return how cas is called, with obstore or as if it were not installed."""
    del url  # from the environment
    environ = {}
    if not with_obstore:
        folder = work / "without_obstore"
        folder.mkdir()
        (folder / "obstore.py").write_text('raise ImportError("left out")\n')
        environ["PYTHONPATH"] = str(folder)
    to_store = [*cas, "--store", REMOTE]
    return RemoteTool(
        init=[Command([*cas, "init", REMOTE])],
        put=lambda source: Command([*to_store, "put", source, "dataset"]),
        before_get=lambda: shutil.rmtree(work / "home/cas", ignore_errors=True),
        get=lambda target: Command([*to_store, "get", "dataset", target]),
        get_one=lambda target, path: Command([*to_store, "get", f"dataset:latest/{path}", target]),
        environ=environ,
    )


def restic_tool(cas: list[str], work: Path, url: str) -> RemoteTool:
    """Return how restic is called, with as many connections as the others have."""
    del cas
    restic = ["restic", "-q", "-o", "s3.connections=16", "-r", f"s3:{url}/{BUCKET}/{PREFIX}"]
    restore = [*restic, "restore", "latest"]
    return RemoteTool(
        init=[Command([*restic, "init"])],
        put=lambda source: Command([*restic, "backup", "."], source),
        before_get=lambda: shutil.rmtree(work / "home/cache", ignore_errors=True),
        get=lambda target: Command([*restore, "--target", target]),
        get_one=lambda target, path: Command(
            [*restore, "--include", f"/{path}", "--target", target]
        ),
        environ={"RESTIC_PASSWORD": "benchmark"},
    )


def s5cmd_tool(cas: list[str], work: Path, url: str) -> RemoteTool:
    """Return how s5cmd is called: its sync compares sizes."""
    del cas, work
    s5cmd = ["s5cmd", "--log", "error", "--endpoint-url", url]
    return RemoteTool(
        put=lambda source: Command([*s5cmd, "sync", "--size-only", f"{source}/", f"{REMOTE}/"]),
        get=lambda target: Command([*s5cmd, "cp", f"{REMOTE}/*", f"{target}/"]),
        get_one=lambda target, path: Command([*s5cmd, "cp", f"{REMOTE}/{path}", f"{target}/"]),
        is_exact=False,
    )


def rclone_tool(cas: list[str], work: Path, url: str) -> RemoteTool:
    """Return how rclone is called, set up by variables."""
    del cas, work
    flags = ["--transfers", "16", "--checkers", "16", "--s3-upload-concurrency", "8"]
    rclone, remote = ["rclone", "-q", *flags], f"bench:{BUCKET}/{PREFIX}"
    options = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENV_AUTH": "true",
        "ENDPOINT": url,
        "REGION": "us-east-1",
        "FORCE_PATH_STYLE": "true",
    }
    return RemoteTool(
        put=lambda source: Command([*rclone, "copy", source, remote]),
        get=lambda target: Command([*rclone, "copy", remote, target]),
        get_one=lambda target, path: Command([*rclone, "copy", f"{remote}/{path}", target]),
        environ={f"RCLONE_CONFIG_BENCH_{name}": value for name, value in options.items()},
        is_exact=False,
    )


def boto3_tool(cas: list[str], work: Path, url: str) -> RemoteTool:
    """Return how our script with boto3 is called."""
    del cas, work, url
    copy = [sys.executable, BOTO3_COPY]
    return RemoteTool(
        put=lambda source: Command([*copy, "put", source, REMOTE]),
        get=lambda target: Command([*copy, "get", REMOTE, target]),
        get_one=lambda target, path: Command([*copy, "get", f"{REMOTE}/{path}", target]),
        is_exact=False,
    )


def dvc_tool(cas: list[str], work: Path, url: str) -> RemoteTool:
    """Return how DVC is called, in a workspace into which inputs are copied before each put."""
    del cas
    workspace = work / "workspace"
    inside = workspace / "data"
    workspace.mkdir()

    def copy_in(source: Path) -> None:
        shutil.rmtree(inside, ignore_errors=True)
        shutil.copytree(source, inside)

    def forget() -> None:
        for folder in (inside, workspace / ".dvc/cache", workspace / ".dvc/tmp"):
            shutil.rmtree(folder, ignore_errors=True)

    def shell(script: str, *words: str | Path) -> Command:
        return Command(["bash", "-ec", script, "dvc", *words], workspace)

    set_up = (
        'dvc init -q --no-scm; dvc remote add -q -d remote "$1"; '
        'dvc remote modify -q remote endpointurl "$2"; dvc config -q cache.type hardlink,copy'
    )
    return RemoteTool(
        init=[shell(set_up, REMOTE, url)],
        before_put=copy_in,
        put=lambda _: shell("dvc add -q data; dvc push -q -j 16"),
        before_get=forget,
        get=lambda target: shell('dvc pull -q -j 16; ln -s "$PWD/data" "$1/data"', target),
        get_one=lambda target, path: shell(
            'dvc pull -q "data/$1"; ln -s "$PWD/data" "$2/data"', path, target
        ),
        environ={"DVC_NO_ANALYTICS": "1"},
        inside="data",
    )


def open_tool(name: str, cas: list[str], work: Path, url: str) -> RemoteTool:
    """Return the tool called `name` on the server at `url`; its own files go to `work`."""
    if name in ("cas", "cas-s3fs"):
        return cas_tool(cas, work, url, with_obstore=name == "cas")
    makers = {
        "restic": restic_tool,
        "s5cmd": s5cmd_tool,
        "rclone": rclone_tool,
        "boto3": boto3_tool,
        "dvc": dvc_tool,
    }
    return makers[name](cas, work, url)


def is_installed(name: str, cas: list[str]) -> bool:
    """Tell whether a tool can be run."""
    if name == "boto3":
        return importlib.util.find_spec("boto3") is not None
    return shutil.which(cas[0] if name in ("cas", "cas-s3fs") else name) is not None

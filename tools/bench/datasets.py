"""Make the five benchmark sets: deterministic, each as v1 and as v2 after a typical edit.

bigfile     1 GiB of random bytes; v2 = 1 MiB put in front, 1 % overwritten in 8 places
weights     512 MiB of bf16 weights in safetensors layout; v2 = 10 % of the tensors retrained, one
            more in front
smallfiles  30,000 text files around 8 KiB; v2 = 1 % edited, 1 % added, 1 % removed, 5 % of the
            folders renamed
images      4,000 incompressible files around 110 KB; v2 = 5 % added
table       400,000 rows of JSON lines; v2 = 1 % of the rows edited, 1 % removed, 5 % appended

At scale 1 they take about 4.3 GB. Sets that exist are left alone. With --remote only those that are
sent over a network are made, smaller: bigfile of 512 MiB, weights of 256 MiB, 3,000 small files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

MIB = 1 << 20
BLOCK_BYTES = 64 * MIB
SMALLEST_SCALE = 0.05  # below it, edits of 1 % round to nothing


def make_bigfile(folder: Path, scale: float) -> None:
    """A checkpoint that nothing can compress; the edit shifts every byte of it."""
    rng = _rng("bigfile")
    size = int(1024 * scale) * MIB
    old, new = folder / "v1/model.bin", folder / "v2/model.bin"
    old.parent.mkdir(parents=True)
    new.parent.mkdir()
    with old.open("wb") as file:
        for start in range(0, size, BLOCK_BYTES):
            file.write(rng.bytes(min(BLOCK_BYTES, size - start)))
    with old.open("rb") as source, new.open("wb") as file:
        file.write(rng.bytes(MIB))
        shutil.copyfileobj(source, file, 16 * MIB)
        for place in range(8):
            file.seek(MIB + size * (2 * place + 1) // 16)
            file.write(rng.bytes(size // 800))


def make_weights(folder: Path, scale: float) -> None:
    """Weights of a network as they are trained: normal around 0, cut to bf16."""
    rng = _rng("weights")
    count = 64
    length = int(512 * scale) * MIB // count // 2

    def tensor() -> bytes:
        values = rng.normal(0, 0.02, length).astype(np.float32)
        return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()

    tensors = {f"layer.{number}.weight": tensor() for number in range(count)}
    _write_safetensors(folder / "v1/model.safetensors", tensors, length)
    for number in range(3, count, 10):
        tensors[f"layer.{number}.weight"] = tensor()
    _write_safetensors(folder / "v2/model.safetensors", {"new": tensor(), **tensors}, length)


def _write_safetensors(path: Path, tensors: dict[str, bytes], length: int) -> None:
    head = {
        name: {
            "dtype": "BF16",
            "shape": [length],
            "data_offsets": [2 * length * row, 2 * length * (row + 1)],
        }
        for row, name in enumerate(tensors)
    }
    encoded = json.dumps(head).encode()
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.writelines(tensors.values())


def make_smallfiles(folder: Path, scale: float) -> None:
    """A source tree or a corpus of documents: sizes are lognormal, 300 folders."""
    rng = _rng("smallfiles")
    count = int(30_000 * scale)
    words = np.array(_words(rng, 5000), dtype=object)
    text = b" ".join(words[rng.integers(0, len(words), 4_000_000)])
    sizes = np.clip(rng.lognormal(9.0, 1.0, count), 16, MIB).astype(int)
    starts = rng.integers(0, len(text) - MIB, count)
    old, new = folder / "v1", folder / "v2"
    for number in range(300):
        (old / f"d{number:03}").mkdir(parents=True)
    for number, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        content = b"%d\n" % number + text[start : start + size]
        (old / f"d{number % 300:03}/f{number:06}.txt").write_bytes(content)
    shutil.copytree(old, new)
    for number in range(0, count, 100):
        home = new / f"d{number % 300:03}"
        with (home / f"f{number:06}.txt").open("ab") as file:
            file.write(b"edited\n")
        start = int(starts[number]) // 2
        (home / f"new{number:06}.txt").write_bytes(b"new\n" + text[start : start + 8000])
    for number in range(1, count, 100):
        (new / f"d{number % 300:03}/f{number:06}.txt").unlink()
    for number in range(0, 300, 20):
        (new / f"d{number:03}").rename(new / f"renamed{number:03}")


def make_images(folder: Path, scale: float) -> None:
    """Photos: each is random bytes; v2 shares the old ones with v1 as hard links."""
    rng = _rng("images")
    count = int(4000 * scale)
    for version, start, stop in (("v1", 0, count), ("v2", count, count + count // 20)):
        for number in range(start, stop):
            path = folder / version / f"c{number % 100:03}/img{number:07}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(rng.bytes(int(rng.integers(60_000, 160_000))))
    shutil.copytree(folder / "v1", folder / "v2", dirs_exist_ok=True, copy_function=os.link)


def make_table(folder: Path, scale: float) -> None:
    """Annotated text, one JSON object a line; edits and removals come in runs of 100 rows."""
    rng = _rng("table")
    count = int(400_000 * scale)
    fresh = _iter_rows(rng)
    rows = [next(fresh) for _ in range(count)]
    (folder / "v1").mkdir(parents=True)
    (folder / "v2").mkdir()
    (folder / "v1/rows.jsonl").write_text("".join(rows))
    for start in rng.integers(0, count - 100, count // 10_000).tolist():
        rows[start : start + 100] = [next(fresh) for _ in range(100)]
    for start in sorted(rng.integers(0, count - 100, count // 10_000).tolist(), reverse=True):
        del rows[start : start + 100]
    rows += [next(fresh) for _ in range(count // 20)]
    (folder / "v2/rows.jsonl").write_text("".join(rows))


def _iter_rows(rng: np.random.Generator) -> Iterator[str]:
    words = [word.decode() for word in _words(rng, 20_000)]
    number = 0
    while True:
        texts = rng.integers(0, len(words), (1000, 60)).tolist()
        labels, scores = rng.integers(0, 10, 1000).tolist(), rng.random(1000).tolist()
        for text, label, score in zip(texts, labels, scores, strict=True):
            row = {
                "id": number,
                "text": " ".join(words[word] for word in text),
                "label": label,
                "score": round(score, 6),
            }
            yield json.dumps(row) + "\n"
            number += 1


def _words(rng: np.random.Generator, count: int) -> list[bytes]:
    lengths = rng.integers(2, 9, count).tolist()
    return [rng.integers(97, 123, length, dtype=np.uint8).tobytes() for length in lengths]


def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


SETS: dict[str, Callable[[Path, float], None]] = {
    "bigfile": make_bigfile,
    "weights": make_weights,
    "smallfiles": make_smallfiles,
    "images": make_images,
    "table": make_table,
}

# What a shaped network carries in seconds; a server in Python takes 10,000 small objects in 46 s.
REMOTE_SCALES = {"bigfile": 0.5, "weights": 0.5, "smallfiles": 0.1}


def main() -> None:
    """Make the sets that are asked for and do not exist yet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the sets go, each in its own folder")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="size of everything, at least 0.05"
    )
    parser.add_argument("--only", nargs="+", choices=SETS, help="only these")
    parser.add_argument("--remote", action="store_true", help="the smaller sets for remote.py")
    options = parser.parse_args()
    if options.scale < SMALLEST_SCALE:
        parser.error(f"--scale must be at least {SMALLEST_SCALE}")
    for name in options.only or (REMOTE_SCALES if options.remote else SETS):
        target = options.folder / name
        if target.exists():
            continue
        # Renamed when whole, so that an interrupted run leaves no set that looks complete.
        unfinished = options.folder / f".{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        remote_scale = REMOTE_SCALES.get(name, 1.0) if options.remote else 1.0
        SETS[name](unfinished, options.scale * remote_scale)
        unfinished.rename(target)
        print(name, flush=True)


if __name__ == "__main__":
    main()

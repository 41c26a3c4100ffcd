"""Small data that looks like what people store, the same on every run and machine."""

from __future__ import annotations

import json

import numpy as np

_SENTENCE = (
    "the model reads a batch of tokens and writes one loss per step while workers fetch shards "
    "from storage so that training never waits for data"
)
_WORDS = _SENTENCE.split()


def random_content(seed: int, size: int) -> bytes:
    """Return bytes that nothing compresses."""
    return np.random.default_rng(seed).bytes(size)


def text_content(seed: int, size: int) -> bytes:
    """Return about English text in lines."""
    chosen = np.random.default_rng(seed).integers(0, len(_WORDS), size // 4 + 12)
    words = [_WORDS[word] for word in chosen]
    lines = (" ".join(words[start : start + 11]) for start in range(0, len(words), 11))
    return "\n".join(lines).encode()[:size].ljust(size, b".")


def jsonl_content(seed: int, rows: int) -> bytes:
    """Return rows of JSON, each with its number in it."""
    rng = np.random.default_rng(seed)
    scores = rng.random(rows).round(4).tolist()
    words = rng.integers(0, len(_WORDS), (rows, 6)).tolist()
    return b"".join(
        json.dumps(
            {"id": row, "score": scores[row], "text": " ".join(_WORDS[word] for word in words[row])}
        ).encode()
        + b"\n"
        for row in range(rows)
    )


def weights_content(seed: int, count: int, *, dtype: str = "bfloat16") -> bytes:
    """Return `count` normally distributed weights: `bfloat16` or a NumPy float type."""
    values = np.random.default_rng(seed).normal(0.0, 0.02, count)
    if dtype == "bfloat16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype(dtype).tobytes()


def sparse_content(seed: int, size: int, *, islands: int = 3, island_bytes: int = 5000) -> bytes:
    """Return zeros with a few islands of other bytes."""
    rng = np.random.default_rng(seed)
    content = np.zeros(size, np.uint8)
    for start in rng.integers(0, max(1, size - island_bytes), islands):
        content[start : start + island_bytes] = rng.integers(
            1, 256, min(island_bytes, size - int(start)), np.uint8
        )
    return content.tobytes()


def periodic_content(period: int, size: int) -> bytes:
    """Return one random block again and again: the worst case for finding cuts."""
    block = random_content(period, period)
    return (block * (size // period + 1))[:size]


def edited_content(content: bytes, seed: int, *, edits: int = 3, edit_bytes: int = 40) -> bytes:
    """Return `content` with stretches replaced, inserted and removed here and there."""
    rng = np.random.default_rng(seed)
    for kind in rng.integers(0, 3, edits).tolist():
        at = int(rng.integers(0, len(content) + 1))
        new = rng.bytes(edit_bytes) if kind < 2 else b""  # 0 replaces, 1 inserts, 2 removes
        gone = edit_bytes if kind != 1 else 0
        content = content[:at] + new + content[at + gone :]
    return content


def small_files(seed: int, count: int) -> dict[bytes, bytes]:
    """Return a tree of `count` little files of mixed kinds in folders of up to 50."""
    sizes = np.random.default_rng(seed).geometric(1 / 2000, count).tolist()
    makers = (text_content, random_content)
    return {
        b"part-%04d/%06d.txt" % (number // 50, number): makers[number % 2](seed + number, size)
        for number, size in enumerate(sizes)
    }


def dataset(seed: int = 0) -> dict[bytes, bytes]:
    """Return a tree of about 3 MB with everything in it that a store must get right."""
    return {
        b"README.md": text_content(seed, 3000),
        b"empty": b"",
        b"tiny": b"x",
        b"inline-limit": random_content(seed + 1, 256),
        b"above-inline-limit": random_content(seed + 1, 257),
        b"train/rows.jsonl": jsonl_content(seed + 2, 4000),
        b"train/copy of rows.jsonl": jsonl_content(seed + 2, 4000),
        b"train/\xffnot-utf-8": text_content(seed + 3, 700),
        b"weights/model.bf16": weights_content(seed + 4, 300_000),
        b"weights/optimizer.f32": weights_content(seed + 5, 100_000, dtype="<f4"),
        b"sparse/zeros": bytes(600_000),
        b"sparse/islands": sparse_content(seed + 6, 500_000),
        b"noise.bin": random_content(seed + 7, 300_000),
        "names/naïve — 名.txt".encode(): b"names need not be ASCII\n",
    }

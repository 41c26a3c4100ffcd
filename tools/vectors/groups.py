"""Groups that version digests are made of: where they end, and roots that every reader refuses."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import msgpack
import numpy as np
from blake3 import blake3
from refused import Refused
from samples import empty_grouped_root, grouped_root, ids, u32

from cas.format import manifest


def make_groups() -> dict[str, Any]:
    """Return digest and groups of 40,000 files, once in a single page and once in five."""
    paths = sorted(b"%02d/%05d.txt" % (number % 7, number) for number in range(40_000))
    cut = []
    for ends in ([40_000], [1, 5000, 16_000, 31_000, 40_000]):
        builder = manifest.GroupDigestBuilder()
        for start, stop in pairwise([0, *ends]):
            builder.add(_page(paths[start:stop]))
        groups = builder.groups()
        cut.append({"ends": ends, "page_groups": groups.pages.tolist()})
    return {
        "paths": "%02d/%05d.txt",
        "count": len(paths),
        "group_ends": manifest.group_ends(paths).tolist(),
        "groups": [row.tobytes().hex() for row in groups.digests],
        "digest": groups.digest().hex,
        "pages": cut,
    }


def _page(paths: list[bytes]) -> manifest.Page:
    """Return a page of files of one byte; the hash of each is that of its path."""
    count = len(paths)
    hashes = b"".join(blake3(path).digest() for path in paths)
    return manifest.Page(
        paths=paths,
        kinds=np.zeros(count, np.uint8),
        modes=np.zeros(count, np.uint8),
        sizes=np.ones(count, np.uint64),
        hashes=np.frombuffer(hashes, np.uint8).reshape(-1, 32),
        inline_lengths=np.ones(count, np.uint32),
        inline=b"x" * count,
        extent_counts=np.zeros(count, np.uint32),
        extent_blobs=u32(),
        extent_first=u32(),
        extent_chunks=u32(),
        extent_lengths=np.zeros(0, np.uint64),
        blob_ids=ids(),
        blob_sizes=u32(),
        table_offsets=u32(),
    )


def make_refused_groups() -> list[Refused]:
    """Return roots whose groups are not what they must be, each for one reason."""
    root = msgpack.unpackb(manifest.encode_root(grouped_root()))
    empty = msgpack.unpackb(manifest.encode_root(empty_grouped_root()))
    ending = 1 << 31

    def rooted(name: str, **changed: Any) -> Refused:
        fields = {key: value for key, value in (root | changed).items() if value is not None}
        return Refused(name, "root", msgpack.packb(fields), "corrupt")

    return [
        rooted("digest that is not that of its groups", groups=bytes(32)),
        rooted("groups that end in no page", groups=root["groups"] * 2),
        rooted("page that ends more groups than there are", page_groups=_u32(ending | 2)),
        rooted("page that ends more groups than it has entries", page_groups=_u32(ending | 8)),
        rooted("page that ends with a group but has none", page_groups=_u32(ending)),
        rooted("last page that does not end a group", page_groups=_u32(1)),
        rooted("counts of groups for more pages", page_groups=_u32(0, ending | 1)),
        rooted("groups without counts", page_groups=None),
        rooted("counts without groups", groups=None),
        rooted("groups that are no ids", groups=root["groups"][1:]),
        Refused(
            "groups of no pages", "root", msgpack.packb({**empty, "groups": bytes(32)}), "corrupt"
        ),
    ]


def _u32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)

"""What went between a client and a server: bytes, requests, and how many of these were in a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

LONGEST_TIMELINE = 40
MOST_FOLDERS = 12
# A request that waits for an answer starts a round trip after it, give or take a bit.
SHARE_OF_ROUND_TRIP = 0.8


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the relay saw it; seconds count from the start of the step.

    `stop` is when the last byte of the answer came by, `sent` the size of the body.
    """

    method: str
    target: str
    start: float
    stop: float
    sent: int
    received: int
    status: int

    @property
    def act(self) -> str:
        """The method, or what an S3 server is asked for by it."""
        query = urlsplit(self.target).query
        if self.method == "GET" and not self.path and "uploads" not in query:
            return "LIST"
        if "uploads" in query or "uploadId" in query:
            return f"{self.method} part"
        return f"{self.method} many" if query == "delete" else self.method

    @property
    def path(self) -> str:
        """The key, without the bucket."""
        return unquote(urlsplit(self.target).path).lstrip("/").partition("/")[2]

    @property
    def key(self) -> str:
        """The key, or the prefix of a listing."""
        prefix = parse_qs(urlsplit(self.target).query).get("prefix", [""])
        return self.path or prefix[0]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went by during one step."""

    sent: int
    received: int
    requests: Sequence[Request]

    def longest_chain(self, round_trip: float) -> int:
        """Return how many requests may at most have waited for the answer to another in a row.

        Each of a chain starts about a round trip after the answer to the one before it; without a
        round trip, requests that only happened to follow each other count too.
        """
        length, free = 0, float("-inf")
        # The chain of those that stop first leaves most room for others.
        for request in sorted(self.requests, key=lambda request: request.stop):
            if request.start >= free:
                length += 1
                free = request.stop + SHARE_OF_ROUND_TRIP * round_trip
        return length


def folder_of(key: str, root: str) -> str:
    """Return the first folder of a key below `root`, or all of a key that lies in none."""
    below = key.removeprefix(root).lstrip("/")
    folder, slash, _ = below.partition("/")
    return folder + slash


def count_by_folder(traffic: Traffic, root: str) -> Counter[tuple[str, str]]:
    """Return how often each kind of request came to each folder below `root`."""
    return Counter((request.act, folder_of(request.key, root)) for request in traffic.requests)


def describe(traffic: Traffic, root: str) -> list[str]:
    """Return lines that tell what was asked for, each request where they are few."""
    counts = count_by_folder(traffic, root).most_common()
    lines = [f"{count:6} {act:11} {folder or '/'}" for (act, folder), count in counts]
    if len(lines) > MOST_FOLDERS:
        rest = sum(count for _, count in counts[MOST_FOLDERS:])
        lines[MOST_FOLDERS:] = [f"{rest:6} in {len(lines) - MOST_FOLDERS} more kinds and folders"]
    if len(traffic.requests) > LONGEST_TIMELINE:
        return lines
    for request in sorted(traffic.requests, key=lambda request: request.start):
        key = request.key.removeprefix(root).lstrip("/")
        lines.append(
            f"       {request.start * 1000:7.0f} ms +{(request.stop - request.start) * 1000:4.0f}"
            f"  {request.status}  {request.act:11} {key[:90] or '/'}"
            f"  sent {request.sent:,}, received {request.received:,}"
        )
    return lines

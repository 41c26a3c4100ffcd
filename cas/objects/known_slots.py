"""How many versions each artifact had when this machine last looked; versions never become fewer.

A file of JSON for each store, safe to delete at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cas.environment import ensure_private_dir, random_bytes
from cas.errors import CasError
from cas.objects.versions import SlotListing

FOLDER = "known-1"


class KnownSlots:
    """What is known of one store. What cannot be read is not known."""

    def __init__(self, state_dir: Path | None, store_id: str) -> None:
        self._path = None if state_dir is None else state_dir / FOLDER / f"{store_id}.json"

    def load(self) -> dict[str, int]:
        """Return for each artifact how many slots it had."""
        if self._path is None:
            return {}
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {name: count for name, count in found.items() if type(count) is int}

    def save(self, listings: Iterable[SlotListing]) -> None:
        """Note what listings show; what cannot be written costs nothing but this check."""
        if self._path is None:
            return
        known = self.load()
        for listing in listings:
            name = str(listing.artifact)
            known[name] = max(known.get(name, 0), listing.next_slot)
        temporary = self._path.with_name(f".{random_bytes(8).hex()}")
        with suppress(OSError, CasError):
            ensure_private_dir(self._path.parent.parent)
            ensure_private_dir(self._path.parent)
            try:
                temporary.write_text(json.dumps(known, sort_keys=True))
                temporary.replace(self._path)
            except OSError:
                temporary.unlink(missing_ok=True)

"""Drafts: versions in the making, as writable filesystems of fsspec. Spec: specs/drafts.md."""

from __future__ import annotations

from cas.drafts.draft import Draft
from cas.drafts.place import DraftPlace

__all__ = ["Draft", "DraftPlace"]

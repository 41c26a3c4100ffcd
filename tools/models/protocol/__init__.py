"""The protocol of specs/protocol as an executable model, searched exhaustively."""

from __future__ import annotations

"""What differs between tables of two versions, row by row. Spec: specs/rows.md."""

from __future__ import annotations

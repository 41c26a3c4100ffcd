"""Stored bytes and the values they stand for: pure, no I/O.

Every decoder raises `CorruptionError` or `UnsupportedError` and nothing else, whatever the bytes.
Spec: specs/format/01-layout.md
"""

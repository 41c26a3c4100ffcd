"""Bytes to cut points: where chunks end and where zeros lie. Pure."""

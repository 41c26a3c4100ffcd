"""Bytes to fewer bytes and back, and the choice of how. Pure."""

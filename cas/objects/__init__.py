"""Typed objects on a backend: blobs, pages, versions, index segments, intents."""

"""Named bytes in a folder or a bucket. Knows no format. Spec: specs/protocol/backend.md."""

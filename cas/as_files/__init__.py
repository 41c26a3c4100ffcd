"""What the filesystems of fsspec that we offer share: errors, and ranges of many files."""

"""What the filesystems of fsspec that we offer share: errors, ranges of many files, downloads."""

"""Copy a folder to or from a bucket with boto3, 16 files at a time, as most scripts do it.

boto3_copy.py put FOLDER s3://BUCKET/PREFIX
boto3_copy.py get s3://BUCKET/PREFIX FOLDER
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

FILES_IN_FLIGHT = 16
TRANSFER = TransferConfig(max_concurrency=16)


def put(source: Path, url: str) -> None:
    """Upload every file below `source`; there is nothing that would skip what is there."""
    bucket, prefix = split_url(url)
    paths = [path for path in source.rglob("*") if path.is_file()]

    def upload(path: Path) -> None:
        key = f"{prefix}/{path.relative_to(source)}"
        client.upload_file(str(path), bucket, key, Config=TRANSFER)

    with ThreadPoolExecutor(FILES_IN_FLIGHT) as pool:
        list(pool.map(upload, paths))


def get(url: str, target: Path) -> None:
    """Download everything below a prefix, or the one object that has it as its key."""
    bucket, prefix = split_url(url)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]

    def download(key: str) -> None:
        path = target / (key.removeprefix(prefix).lstrip("/") or Path(key).name)
        path.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(path), Config=TRANSFER)

    with ThreadPoolExecutor(FILES_IN_FLIGHT) as pool:
        list(pool.map(download, keys))


def split_url(url: str) -> tuple[str, str]:
    """Return bucket and prefix."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, prefix


client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}, max_pool_connections=32))

if __name__ == "__main__":
    verb, source_word, target_word = sys.argv[1:]
    if verb == "put":
        put(Path(source_word), target_word)
    else:
        get(source_word, Path(target_word))

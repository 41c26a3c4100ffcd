"""What a server tells beyond objects: its clock, unfinished uploads, the bucket's rules; and the
driver's versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cas.backend.base import Backend
from cas.backend.bucket_rules import BucketRules, rules_of_gcs, rules_of_s3
from cas.backend.driver_options import (
    AZURE_SCHEMES,
    GCS_SCHEMES,
    S3_SCHEMES,
    SFTP_SCHEMES,
    scheme_of,
)

_PACKAGES = (
    dict.fromkeys(S3_SCHEMES, ("fsspec", "s3fs", "aiobotocore", "botocore"))
    | dict.fromkeys(GCS_SCHEMES, ("fsspec", "gcsfs", "google-auth"))
    | dict.fromkeys(AZURE_SCHEMES, ("fsspec", "adlfs", "azure-storage-blob"))
    | dict.fromkeys(SFTP_SCHEMES, ("fsspec", "paramiko"))
)
# One page of an answer; that there are so many is all that anybody wants to know.
MOST_UPLOADS = 1000


@dataclass(frozen=True, slots=True)
class StaleUploads:
    """Multipart uploads that nobody ended: how many, at most `MOST_UPLOADS`, and since when."""

    count: int
    oldest_ns: int | None


class ServerExamination:
    """Questions to the server behind a URL that no backend needs to ask. Makes its own connection.

    Each method returns None where the server or its driver cannot tell.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any], *, shown_url: str) -> None:
        """Open the driver.

        Raises:
            CasError: as `open_backend` does.
        """
        # fsspec takes 0.1 s to import, which a local store need not pay.
        from cas.backend.open_driver import open_filesystem

        self._scheme = scheme_of(url)
        self._filesystem, root = open_filesystem(url, storage_options, shown_url=shown_url)
        self._bucket, _, prefix = root.partition("/")
        self._folder = prefix and f"{prefix}/"

    def clock_ns(self) -> int | None:
        """Return the server's time, to the second.

        Raises:
            Exception: whatever the driver raises.
        """
        if self._scheme in S3_SCHEMES:
            answer = self._filesystem.call_s3(
                "list_objects_v2", Bucket=self._bucket, MaxKeys=1, Prefix=self._folder
            )
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
        elif self._scheme in GCS_SCHEMES:
            headers, _ = self._filesystem.call("GET", "b/{}/o", self._bucket, maxResults=1)
        else:
            return None
        date = headers.get("date") or headers.get("Date")
        return None if date is None else _nanoseconds(parsedate_to_datetime(date))

    def stale_uploads(self) -> StaleUploads | None:
        """Return what multipart uploads are unfinished below the root.

        Raises:
            Exception: whatever the driver raises.
        """
        if self._scheme not in S3_SCHEMES:
            return None
        answer = self._filesystem.call_s3(
            "list_multipart_uploads",
            Bucket=self._bucket,
            Prefix=self._folder,
            MaxUploads=MOST_UPLOADS,
        )
        begun = [_nanoseconds(upload["Initiated"]) for upload in answer.get("Uploads", [])]
        return StaleUploads(len(begun), min(begun, default=None))

    def bucket_rules(self) -> BucketRules | None:
        """Return what the bucket does by itself to what lies below the root.

        Raises:
            Exception: whatever the driver raises.
        """
        if self._scheme in GCS_SCHEMES:
            answer = self._filesystem.call("GET", "b/{}", self._bucket, json_out=True)
            return rules_of_gcs(answer, self._folder)
        if self._scheme not in S3_SCHEMES:
            return None
        versioning = self._filesystem.call_s3("get_bucket_versioning", Bucket=self._bucket)
        try:
            lifecycle = self._filesystem.call_s3(
                "get_bucket_lifecycle_configuration", Bucket=self._bucket
            )
        except FileNotFoundError:
            lifecycle = {}  # there are no rules
        return rules_of_s3(versioning, lifecycle, self._folder)


def driver_versions(url: str, backend: Backend) -> dict[str, str | None]:
    """Return the versions of what opened this URL as `backend`; None for a package that is missing."""
    # By name, since obstore is there or not.
    is_native = type(backend).__name__ == "ObstoreBackend"
    names = ("obstore",) if is_native else _PACKAGES.get(scheme_of(url), ("fsspec",))
    return {name: package_version(name) for name in names}


def package_version(name: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _nanoseconds(time: datetime) -> int:
    return int(time.timestamp()) * 10**9

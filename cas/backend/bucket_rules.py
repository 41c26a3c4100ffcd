"""What a bucket does by itself to the objects of a store: keeps old versions, deletes, moves them away.

Pure: it reads what the services of Amazon and Google answer about a bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Of these an object must be asked for hours before it can be read.
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# Conditions of Google's that only old versions meet.
_OF_OLD_VERSIONS = frozenset(
    {"numNewerVersions", "daysSinceNoncurrentTime", "noncurrentTimeBefore"}
)


@dataclass(frozen=True, slots=True)
class BucketRules:
    """What becomes of the objects below a folder.

    Attributes:
        keeps_old: what is deleted stays as an old version.
        ends_old: a rule deletes old versions some day.
        harmful: clauses that say which rule deletes objects, or moves them where they cannot be read.
    """

    keeps_old: bool = False
    ends_old: bool = False
    harmful: tuple[str, ...] = ()


def rules_of_s3(
    versioning: Mapping[str, Any], lifecycle: Mapping[str, Any], folder: str
) -> BucketRules:
    """Read the answers to GetBucketVersioning and GetBucketLifecycleConfiguration."""
    rules = [
        rule
        for rule in lifecycle.get("Rules", [])
        if rule.get("Status") == "Enabled" and _meets_s3(rule, folder)
    ]
    return BucketRules(
        keeps_old=versioning.get("Status") in ("Enabled", "Suspended"),
        ends_old=any("NoncurrentVersionExpiration" in rule for rule in rules),
        harmful=tuple(clause for rule in rules for clause in _harm_of_s3(rule)),
    )


def rules_of_gcs(bucket: Mapping[str, Any], folder: str) -> BucketRules:
    """Read what the service says of a bucket (Buckets: get)."""
    lifecycle = bucket.get("lifecycle", {})
    deleting, old = [], False
    for rule in lifecycle.get("rule", []):
        condition = rule.get("condition", {})
        if rule.get("action", {}).get("type") != "Delete":
            continue
        if not _overlap(condition.get("matchesPrefix", [""]), folder):
            continue
        if condition.get("isLive") is False or _OF_OLD_VERSIONS & condition.keys():
            old = True
        else:
            age = condition.get("age")
            deleting.append("deletes objects" + ("" if age is None else f" after {age} days"))
    keeps_old = bool(bucket.get("versioning", {}).get("enabled"))
    return BucketRules(keeps_old=keeps_old, ends_old=old, harmful=tuple(deleting))


def _meets_s3(rule: Mapping[str, Any], folder: str) -> bool:
    """Tell whether a rule is about objects of the store, which have no tags."""
    chosen = rule.get("Filter") or {}
    both = chosen.get("And") or {}
    if "Tag" in chosen or both.get("Tags"):
        return False
    prefix = rule.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or ""
    return _overlap([prefix], folder)


def _harm_of_s3(rule: Mapping[str, Any]) -> Iterator[str]:
    name = rule.get("ID") or "without a name"
    expiration = rule.get("Expiration") or {}
    if "Days" in expiration:
        yield f"{name} deletes objects after {expiration['Days']} days"
    elif "Date" in expiration:
        yield f"{name} deletes objects from a date on"
    for transition in rule.get("Transitions") or []:
        if transition.get("StorageClass") in _ARCHIVES:
            yield f"{name} moves objects to {transition['StorageClass']}"


def _overlap(prefixes: Iterable[str], folder: str) -> bool:
    return any(folder.startswith(prefix) or prefix.startswith(folder) for prefix in prefixes)

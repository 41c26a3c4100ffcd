"""What rules of a bucket mean for a store below a folder of it."""

from __future__ import annotations

import pytest

from cas.backend.bucket_rules import BucketRules, rules_of_gcs, rules_of_s3

NOTHING = BucketRules()
DELETES = BucketRules(harmful=("r deletes objects after 9 days",))


def s3_rule(**parts):
    return {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 9}} | parts


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (s3_rule(), DELETES),
        (s3_rule(Prefix=""), DELETES),
        (s3_rule(Filter={"Prefix": "a/"}), DELETES),
        (s3_rule(Filter={"Prefix": "a/store/gc/"}), DELETES),
        (s3_rule(Filter={"And": {"Prefix": "a/", "ObjectSizeGreaterThan": 1}}), DELETES),
        (s3_rule(Filter={"Prefix": "b/"}), NOTHING),
        (s3_rule(Filter={"And": {"Prefix": "b/", "ObjectSizeGreaterThan": 1}}), NOTHING),
        (s3_rule(Filter={"Tag": {"Key": "k", "Value": "v"}}), NOTHING),
        (s3_rule(Filter={"And": {"Prefix": "a/", "Tags": [{"Key": "k"}]}}), NOTHING),
        (s3_rule(Status="Disabled"), NOTHING),
        (s3_rule(Expiration={"ExpiredObjectDeleteMarker": True}), NOTHING),
        (
            s3_rule(Expiration={"Date": "2030-01-01"}),
            BucketRules(harmful=("r deletes objects from a date on",)),
        ),
        (
            s3_rule(Expiration=None, Transitions=[{"Days": 1, "StorageClass": "GLACIER"}]),
            BucketRules(harmful=("r moves objects to GLACIER",)),
        ),
        (s3_rule(Expiration=None, Transitions=[{"StorageClass": "STANDARD_IA"}]), NOTHING),
        (
            s3_rule(Expiration=None, NoncurrentVersionExpiration={"NoncurrentDays": 1}),
            BucketRules(ends_old=True),
        ),
    ],
)
def test_a_rule_of_s3_is_harmful_where_it_deletes_or_archives_what_is_in_a_store(rule, expected):
    """By prefix; objects of a store have no tags, and old versions are nobody's."""
    assert rules_of_s3({}, {"Rules": [rule]}, "a/store/") == expected


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_a_bucket_that_was_ever_versioned_keeps_what_is_deleted(status):
    """What was versioned before that was suspended stays, too."""
    assert rules_of_s3({"Status": status}, {}, "") == BucketRules(keeps_old=True)


@pytest.mark.parametrize(
    ("action", "condition", "expected"),
    [
        ("Delete", {"age": 9}, BucketRules(harmful=("deletes objects after 9 days",))),
        ("Delete", {"createdBefore": "x"}, BucketRules(harmful=("deletes objects",))),
        ("Delete", {"age": 9, "matchesPrefix": ["b/", "a/st"]}, None),
        ("Delete", {"age": 9, "matchesPrefix": ["b/"]}, NOTHING),
        ("Delete", {"age": 9, "isLive": False}, BucketRules(ends_old=True)),
        ("Delete", {"numNewerVersions": 1}, BucketRules(ends_old=True)),
        ("SetStorageClass", {"age": 9}, NOTHING),
        ("AbortIncompleteMultipartUpload", {"age": 9}, NOTHING),
    ],
)
def test_a_rule_of_google_is_harmful_where_it_deletes_what_is_in_a_store(
    action, condition, expected
):
    """Its coldest classes can be read at once."""
    bucket = {"lifecycle": {"rule": [{"action": {"type": action}, "condition": condition}]}}
    if expected is None:
        expected = BucketRules(harmful=("deletes objects after 9 days",))

    assert rules_of_gcs(bucket, "a/store/") == expected
    assert rules_of_gcs({"versioning": {"enabled": True}}, "a/").keeps_old

"""The doctor finds on real servers what is allowed and what lies about."""

from __future__ import annotations

import pytest
from servers.s3 import READER_KEY, READER_SECRET, S3Server

import cas
from cas.operations.diagnosis import CheckState, Role

pytest.importorskip("s3fs")

pytestmark = pytest.mark.filterwarnings("ignore")  # unclosed clients of aiohttp are not ours


@pytest.fixture
def options(tmp_path) -> cas.DiagnoseOptions:
    """Local state of the test's own."""
    return cas.DiagnoseOptions(cache_dir=str(tmp_path))


def test_the_doctor_finds_roles_on_a_real_server(weed: S3Server, options):
    """By the server's own answers; nothing is left of it."""
    place = weed.new_place()
    cas.Store.create(place.url, storage_options=weed.options()).close()

    def diagnose(**credentials):
        given = weed.options(**credentials)
        return cas.Store.diagnose(place.url, storage_options=given, options=options)

    admin = diagnose()
    reader = diagnose(key=READER_KEY, secret=READER_SECRET)
    wrong = diagnose(secret="wrong")

    assert {check.name for check in admin.checks if check.state is not CheckState.OK} == set()
    assert admin.roles == (Role.READER, Role.WRITER, Role.COLLECTOR)
    assert (reader.roles, reader.is_healthy) == ((Role.READER,), False)
    assert (wrong.roles, wrong.is_healthy) == ((), False)
    with place.open() as backend:
        assert [found.key for found in backend.list_objects("")] == ["cas.json"]


def test_the_doctor_tells_unfinished_uploads_and_the_clock(ministack: S3Server, options):
    """What other tools left costs money until a rule ends it."""
    bucket = ministack.new_bucket()
    url, given = f"s3://{bucket}/store", ministack.options()
    cas.Store.create(url, storage_options=given).close()
    ministack.client.create_multipart_upload(Bucket=bucket, Key="store/left")

    diagnosis = cas.Store.diagnose(url, storage_options=given, options=options)

    found = {check.name: check for check in diagnosis.checks}
    assert diagnosis.is_healthy
    assert "1 unfinished multipart upload" in found["uploads"].text
    assert "lifecycle" in (found["uploads"].hint or "")
    assert "agrees" in found["clock"].text


RULE = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "store/sessions/"}}


@pytest.mark.parametrize(
    ("rule", "state", "text"),
    [
        (None, CheckState.OK, "stays as an old version"),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 7}}, CheckState.OK, "no rule deletes"),
        ({"Expiration": {"Days": 30}}, CheckState.FAILED, "tidy deletes objects after 30 days"),
    ],
    ids=["versioned", "frees", "deletes"],
)
def test_the_doctor_tells_what_a_bucket_does_by_itself(
    ministack: S3Server, options, rule, state, text
):
    """Old versions that are paid for, and rules that take what versions need."""
    bucket = ministack.new_bucket()
    url, given = f"s3://{bucket}/store", ministack.options()
    cas.Store.create(url, storage_options=given).close()
    ministack.client.put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    if rule is not None:
        ministack.client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [RULE | rule]}
        )

    diagnosis = cas.Store.diagnose(url, storage_options=given, options=options)

    found = next(check for check in diagnosis.checks if check.name == "bucket")
    assert found.state is state
    assert text in found.text
    assert ("specs/roles.md" in (found.hint or "")) is (text != "no rule deletes")

"""When obstore opens a store, with which arguments, and when s3fs must."""

from __future__ import annotations

from typing import Any

import pytest

from cas.backend.obstore_options import as_obstore_arguments

KEYS = {"key": "k", "secret": "s"}
REGION = {"AWS_REGION": "eu-west-3"}


def arguments(options: dict[str, Any], environ: dict[str, str]) -> dict[str, Any]:
    made = as_obstore_arguments("bucket", options, environ)
    assert made is not None
    return made


def test_given_credentials_go_before_those_of_the_environment() -> None:
    """As every client of AWS does it."""
    environ = {"AWS_ACCESS_KEY_ID": "e", "AWS_SECRET_ACCESS_KEY": "e", **REGION}

    made = arguments(KEYS, environ)

    assert (made["access_key_id"], made["secret_access_key"]) == ("k", "s")
    assert (made["bucket"], made["region"]) == ("bucket", "eu-west-3")
    assert "session_token" not in made


def test_the_environment_is_enough() -> None:
    """Keys, token, endpoint and region."""
    made = arguments(
        {},
        {
            "AWS_ACCESS_KEY_ID": "e",
            "AWS_SECRET_ACCESS_KEY": "f",
            "AWS_SESSION_TOKEN": "g",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
            "AWS_DEFAULT_REGION": "x",
        },
    )

    assert (made["access_key_id"], made["session_token"]) == ("e", "g")
    assert (made["endpoint"], made["region"]) == ("http://127.0.0.1:9000", "x")


def test_every_option_that_is_taken_has_its_counterpart() -> None:
    """Nothing that the user asked for is lost on the way."""
    made = arguments(
        {
            **KEYS,
            "token": "t",
            "endpoint_url": "https://minio.example",
            "requester_pays": True,
            "client_kwargs": {"region_name": "r"},
            "config_kwargs": {"s3": {"addressing_style": "virtual"}, "read_timeout": 7},
            "s3_additional_kwargs": {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "id"},
        },
        {},
    )

    assert {name: made[name] for name in made if name != "retry_config"} == {
        "bucket": "bucket",
        "region": "r",
        "virtual_hosted_style_request": True,
        "client_options": {
            "allow_http": True,
            "connect_timeout": "5s",
            "read_timeout": "7s",
            "timeout": "600s",
        },
        "access_key_id": "k",
        "secret_access_key": "s",
        "session_token": "t",
        "server_side_encryption": "aws:kms",
        "sse_kms_key_id": "id",
        "endpoint": "https://minio.example",
        "request_payer": True,
    }


def test_a_public_bucket_needs_no_credentials() -> None:
    """Requests are not signed then."""
    made = arguments({"anon": True}, REGION)

    assert made["skip_signature"]
    assert "access_key_id" not in made


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        ({}, REGION),
        (KEYS, {}),
        ({**KEYS, "profile": "lab"}, REGION),
        (KEYS, {**REGION, "AWS_PROFILE": "lab"}),
        (KEYS, {**REGION, "AWS_CA_BUNDLE": "/ca.pem"}),
        ({**KEYS, "client_kwargs": {"verify": False}}, REGION),
        ({**KEYS, "config_kwargs": {"signature_version": "s3"}}, REGION),
        ({**KEYS, "config_kwargs": {"s3": {"use_accelerate_endpoint": True}}}, REGION),
        ({**KEYS, "s3_additional_kwargs": {"ACL": "private"}}, REGION),
        ({**KEYS, "cache_regions": True}, REGION),
    ],
)
def test_what_it_cannot_do_is_left_to_s3fs(
    options: dict[str, Any], environ: dict[str, str]
) -> None:
    """Profiles, roles, certificates, unknown options, and a region that must be looked for."""
    assert as_obstore_arguments("bucket", options, environ) is None


def test_certificates_do_not_matter_without_encryption() -> None:
    """A server of this machine is asked in clear."""
    made = arguments(
        {**KEYS, "endpoint_url": "http://127.0.0.1:9000"}, {"AWS_CA_BUNDLE": "/ca.pem"}
    )

    assert made["endpoint"] == "http://127.0.0.1:9000"

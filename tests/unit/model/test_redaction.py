"""What is hidden, and what is left to be read."""

from __future__ import annotations

import pytest

from cas.model.redaction import (
    HIDDEN,
    redact_text,
    remember_secrets,
    remember_url,
    secret_names,
    show_options,
)

MARK = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://host/b/k?X-Amz-Signature={MARK}&x=1",
        f"s3://key:{MARK}@bucket/x",
        f"Authorization: Bearer {MARK}",
        f"'Authorization': 'AWS4-HMAC-SHA256 Credential=a/b, Signature={MARK}'",
        f"headers={{'x-amz-security-token': '{MARK}'}}",
        f"Bearer {MARK}",
        f"aws_secret_access_key={MARK}",
        f"{{'secret': '{MARK}', 'region': 'x'}}",
        f"AccountName=a;AccountKey={MARK};EndpointSuffix=x",
        f"password: {MARK}",
        f"cas://name@v3::s3://{MARK}:{MARK}@bucket/prefix",
        f'"sas_token": "{MARK}"',
    ],
)
def test_what_looks_like_a_credential_is_gone(text):
    """In the shapes in which drivers and their libraries put it."""
    assert MARK not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/key: no such object",
        "the request signature we calculated does not match the signature you provided",
        "User: arn:aws:iam::1:user/x is not authorized to perform: s3:GetObject",
        "cannot reach http://127.0.0.1:9000: the connection is refused",
        "keys of 3 artifacts, basic test",
        "no such path: cas://name@v3/a.txt, fsspec+cas://name@v3, casdraft://name@1",
    ],
)
def test_other_text_is_left_as_it_is(text):
    """Messages stay readable."""
    assert redact_text(text) == text


def test_the_values_of_given_credentials_are_hidden_wherever_they_appear():
    """A driver may quote them in a way that nobody foresaw."""
    remember_secrets(
        {"client_kwargs": {"aws_session_token": "odd-value-4711"}, "region": "public-1"}
    )

    assert redact_text("x odd-value-4711 y public-1") == f"x {HIDDEN} y public-1"


def test_what_a_url_held_is_hidden_also_without_the_url():
    """A driver may take the user part for the name of a bucket."""
    remember_url("s3://someone:pw-of-4711@bucket/x?token=token-of-4711")

    text = redact_text('invalid bucket "someone:pw-of-4711@bucket", token-of-4711')

    assert text == f'invalid bucket "{HIDDEN}@bucket", {HIDDEN}'


def test_the_container_of_azure_is_no_secret():
    """It stands where others have the user."""
    remember_url("abfs://container-4711@account.dfs.core.windows.net/x")

    assert redact_text("no container-4711") == "no container-4711"


def test_short_values_are_not_remembered():
    """Hiding `test` everywhere would make riddles of messages."""
    remember_secrets({"secret": "test"})

    assert redact_text("a test") == "a test"


def test_options_are_shown_but_for_credentials():
    """What is not known to be harmless is hidden."""
    shown = show_options(
        {
            "profile": "prod",
            "endpoint_url": f"https://me:{MARK}@minio.example",
            "key": "AKIA",
            "secret": MARK,
            "anon": False,
            "client_kwargs": {"region_name": "eu-west-1", "aws_session_token": MARK},
            "config_kwargs": {"read_timeout": 5, "proxies": {"https": MARK}},
            "nobody_thought_of_it": MARK,
            "token": {"private_key": MARK},
        }
    )

    assert shown == {
        "profile": "prod",
        "endpoint_url": "https://minio.example",
        "key": HIDDEN,
        "secret": HIDDEN,
        "anon": False,
        "client_kwargs": {"region_name": "eu-west-1", "aws_session_token": HIDDEN},
        "config_kwargs": {"read_timeout": 5, "proxies": {"https": HIDDEN}},
        "nobody_thought_of_it": HIDDEN,
        "token": HIDDEN,
    }


def test_secrets_are_found_by_their_names():
    """Names of methods and of files are no secrets, nor are flags."""
    options = {
        "secret": "x",
        "client_kwargs": {"aws_secret_access_key": "x", "region_name": "y"},
        "s3_additional_kwargs": {"SSEKMSKeyId": "arn"},
        "key_filename": "~/.ssh/id",
        "password": "",
    }

    assert secret_names(options) == ["secret", "client_kwargs.aws_secret_access_key"]
    assert secret_names({"token": "anon"}) == []
    assert secret_names({"token": "/home/me/key.json"}) == []
    assert secret_names({"token": "ya29.raw"}) == ["token"]

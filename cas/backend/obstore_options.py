"""Whether obstore can open a store as s3fs would, and with which arguments.

It is used only where every option of the driver has its counterpart and the credentials are at
hand: given, or in the environment. Profiles, single sign-on, roles of machines and certificates of
one's own are s3fs's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONNECT_SECONDS = 5
# Between two pieces of an answer: a stalled request is given up after that and sent again.
READ_SECONDS = 20
# The time for a whole request; a blob of 64 MiB over 1 Mbit/s takes as long.
REQUEST_SECONDS = 600

_TAKEN = frozenset({
    "key", "secret", "token", "endpoint_url", "anon", "requester_pays", "client_kwargs",
    "config_kwargs", "s3_additional_kwargs",
})  # fmt: skip
_CLIENT = frozenset({"region_name", "endpoint_url"})
_CONFIG = frozenset({"connect_timeout", "read_timeout", "s3", "max_pool_connections"})
_ADDRESSING = {"path": False, "virtual": True, "auto": False}
_EXTRA = {"ServerSideEncryption": "server_side_encryption", "SSEKMSKeyId": "sse_kms_key_id"}
# Whoever sets these counts on botocore's way of finding credentials and certificates.
_BOTOCORE_VARIABLES = ("AWS_PROFILE", "AWS_ROLE_ARN")
_CERTIFICATES = "AWS_CA_BUNDLE"


def as_obstore_arguments(
    bucket: str, options: Mapping[str, Any], environ: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the arguments of `obstore.store.S3Store`, or None where s3fs must be used."""
    client, config = options.get("client_kwargs") or {}, options.get("config_kwargs") or {}
    extra = options.get("s3_additional_kwargs") or {}
    is_known = (
        _TAKEN.issuperset(options)
        and _CLIENT.issuperset(client)
        and _CONFIG.issuperset(config)
        and _EXTRA.keys() >= extra.keys()
        and set(config.get("s3") or {}) <= {"addressing_style"}
    )
    if not is_known or any(environ.get(name) for name in _BOTOCORE_VARIABLES):
        return None
    credentials = _credentials(options, environ)
    endpoint = (
        options.get("endpoint_url")
        or client.get("endpoint_url")
        or environ.get("AWS_ENDPOINT_URL_S3")
        or environ.get("AWS_ENDPOINT_URL")
    )
    region = (
        client.get("region_name") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    )
    if credentials is None or not (endpoint or region):
        return None  # botocore looks further, and follows AWS to the bucket's region
    if environ.get(_CERTIFICATES) and not str(endpoint).startswith("http://"):
        return None
    addressing = (config.get("s3") or {}).get("addressing_style", "auto")
    arguments = {
        "bucket": bucket,
        "region": region or "us-east-1",
        "virtual_hosted_style_request": _ADDRESSING.get(addressing, False),
        "client_options": {
            "allow_http": True,
            "connect_timeout": f"{config.get('connect_timeout', CONNECT_SECONDS)}s",
            "read_timeout": f"{config.get('read_timeout', READ_SECONDS)}s",
            "timeout": f"{REQUEST_SECONDS}s",
        },
        # Trying again is left to one place above.
        "retry_config": {"max_retries": 0},
        **credentials,
        **{_EXTRA[name]: value for name, value in extra.items()},
    }
    if endpoint:
        arguments["endpoint"] = endpoint
    if options.get("requester_pays"):
        arguments["request_payer"] = True
    return arguments


def _credentials(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any] | None:
    if options.get("anon"):
        return {"skip_signature": True}
    key, secret, token = (options.get(name) for name in ("key", "secret", "token"))
    if not key and not secret:
        key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        token = token or environ.get("AWS_SESSION_TOKEN")
    if not key or not secret:
        return None
    credentials = {"access_key_id": key, "secret_access_key": secret}
    return credentials | ({"session_token": token} if token else {})

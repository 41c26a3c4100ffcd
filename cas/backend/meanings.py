"""What the words of servers, and the classes of client libraries, mean to a user.

Whoever tries again tells by the code: ACCESS_DENIED, NO_CREDENTIALS and DISK_FULL stay as they are
until a person acts; THROTTLED means slower; everything else may pass. So what is permanent must
have one of these codes, a wrong region among them.
"""

from __future__ import annotations

from typing import NamedTuple

from cas.errors import ErrorCode


class Meaning(NamedTuple):
    """What a failure is called here, what to say of it, and what helps.

    With `with_detail` the server's or system's own words follow. `elsewhere` is what helps where no
    store is, but a source or target: neither `cas doctor` nor the settings of a store have to do
    with those.
    """

    code: ErrorCode
    says: str
    hint: str
    with_detail: bool = False
    elsewhere: str = ""


# How a source or target is told what `[stores.NAME]` tells of a store.
BY_OPTION = "by --source-option or --dest-option"
ACCESS_DENIED = Meaning(
    ErrorCode.ACCESS_DENIED,
    "access denied",
    "cas doctor tells which rights are missing",
    with_detail=True,
    elsewhere=f"check what these credentials may do there, or give others {BY_OPTION}",
)
UNKNOWN_KEY = Meaning(
    ErrorCode.ACCESS_DENIED,
    "the access key is not known there",
    "check the key and the endpoint; cas config shows which are in force",
    elsewhere=f"check the key and the endpoint, AWS_PROFILE and AWS_*, or give them {BY_OPTION}",
)
WRONG_SECRET = Meaning(
    ErrorCode.ACCESS_DENIED,
    "the secret does not belong to the access key",
    "check the secret; cas config shows where the settings come from",
    elsewhere=f"check the secret, AWS_PROFILE and AWS_*, or give another one {BY_OPTION}",
)
EXPIRED = Meaning(
    ErrorCode.ACCESS_DENIED,
    "the credentials have expired or were revoked",
    "get new ones (aws sso login, gcloud auth application-default login), then run it again",
)
WRONG_CLOCK = Meaning(
    ErrorCode.ACCESS_DENIED,
    "the clock of this machine and the server's differ too much",
    "set the clock of this machine",
)
WRONG_REGION = Meaning(
    ErrorCode.ACCESS_DENIED,
    "the bucket is in another region",
    "set its region: export AWS_REGION=..., or region in the store's table",
    elsewhere=f"set its region: export AWS_REGION=..., or region=... {BY_OPTION}",
)
THROTTLED = Meaning(
    ErrorCode.THROTTLED,
    "the store asks for fewer requests",
    "wait a little, then run it again, with fewer --jobs",
    with_detail=True,
)
STALLED = Meaning(
    ErrorCode.STALLED,
    "no answer in time",
    "run it again; if it goes on, look at the network",
)
DISK_FULL = Meaning(
    ErrorCode.DISK_FULL, "", "free some space there, then run it again", with_detail=True
)
NO_CREDENTIALS = Meaning(ErrorCode.NO_CREDENTIALS, "no credentials were found", "")
NO_CONNECTION = Meaning(ErrorCode.UNREACHABLE, "", "check the network and the endpoint")

# What servers say, by the word that they use for it.
_WORDS = (
    (ACCESS_DENIED, (
        "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidSecurity", "NotSignedUp",
        "InvalidPayer", "InvalidObjectState", "AuthenticationFailed", "AuthorizationFailure",
        "AuthorizationPermissionMismatch", "InsufficientAccountPermissions", "AccountIsDisabled",
        "401", "403",
    )),
    (UNKNOWN_KEY, ("InvalidAccessKeyId", "UnrecognizedClientException")),
    (WRONG_SECRET, ("SignatureDoesNotMatch",)),
    (EXPIRED, (
        "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired",
        "InvalidClientTokenId",
    )),
    (WRONG_CLOCK, ("RequestTimeTooSkewed", "RequestExpired")),
    (WRONG_REGION, (
        "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
        "301",
    )),
    (THROTTLED, (
        "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
        "RequestThrottledException", "RequestLimitExceeded", "TooManyRequests",
        "TooManyRequestsException", "BandwidthLimitExceeded", "ServiceUnavailable", "ServerBusy",
        "429", "503",
    )),
    (STALLED, ("RequestTimeout", "OperationTimedOut")),
)  # fmt: skip
# What client libraries call it when no server answered, by the name of the class.
_CLASSES = (
    (NO_CREDENTIALS, (
        "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
        "ProfileNotFound", "NoAuthTokenError", "TokenRetrievalError", "SSOError",
        "DefaultCredentialsError", "CredentialUnavailableError",
    )),
    (STALLED, (
        "ReadTimeoutError", "ReadTimeout", "ConnectTimeoutError", "ConnectTimeout",
        "FSTimeoutError", "ServerTimeoutError", "ServiceResponseTimeoutError", "Timeout",
    )),
    (NO_CONNECTION, (
        "EndpointConnectionError", "ProxyConnectionError", "SSLError", "ClientConnectorError",
        "ClientProxyConnectionError", "ClientConnectorCertificateError", "TransportError",
        "ServiceRequestError", "NoValidConnectionsError", "NewConnectionError", "gaierror",
        "SSLCertVerificationError",
    )),
    (EXPIRED, ("RefreshError", "ReauthFailError")),
    (ACCESS_DENIED, ("ClientAuthenticationError", "AuthenticationException", "PermissionDenied")),
)  # fmt: skip

BY_WORD = {word: meaning for meaning, words in _WORDS for word in words}
BY_CLASS = {name: meaning for meaning, names in _CLASSES for name in names}
BY_STATUS = {401: ACCESS_DENIED, 403: ACCESS_DENIED, 429: THROTTLED, 503: THROTTLED}
# The driver or the client library refused to ask: the URL or an option is wrong.
NEVER_ASKED = frozenset(
    {"ParamValidationError", "InvalidRegionError", "InvalidURL", "NonHttpUrlClientError"}
)

_GET_CREDENTIALS = {
    "s3": "aws configure or aws sso login, AWS_PROFILE, or anonymous = true for a public bucket",
    "gs": "gcloud auth application-default login; anonymous = true for a public bucket",
    "az": "az login, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
_MAKE_BUCKET = {
    "s3": "aws s3 mb s3://{}",
    "gs": "gcloud storage buckets create gs://{}",
    "az": "az storage container create -n {}",
}
_FAMILIES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}


def family_of(where: str) -> str:
    """Return the one scheme that stands for all of its kind, or an empty text for a path."""
    scheme, separator, _ = where.partition("://")
    return _FAMILIES.get(scheme, scheme) if separator else ""


def how_to_sign_in(where: str) -> str:
    """Return what gives a user credentials for this place."""
    return _GET_CREDENTIALS.get(family_of(where), "give them as options of the driver")


def how_to_make(where: str, bucket: str) -> str | None:
    """Return the command that makes a bucket of this kind, or None if there is none."""
    command = _MAKE_BUCKET.get(family_of(where))
    return None if command is None else command.format(bucket)

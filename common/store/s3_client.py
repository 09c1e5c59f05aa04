"""The connection to an S3 server: the SDK's client made from the settings, its many errors made into one of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from common.errors import DestinationUnavailable, EnvironmentFault, PolicyError, StoreFault
from common.settings import Settings

if TYPE_CHECKING:
    from minio import Minio
    from minio.credentials.providers import Provider
    from minio.sse import Sse
    from urllib3 import PoolManager, Retry

_CONNECTIONS = 8
"""Kept open per process: a few orders at a time, each with a reader and an upload."""

_BUSY = (429, 500, 502, 503, 504)
"""HTTP statuses that say "again, later"."""

_LONGEST_PAUSE_SECONDS = 10.0

_HINTS = {
    "NoSuchBucket": "Create the bucket, or correct its name (that of the object store: CINEFARM_STORE_URL).",
    "AccessDenied": "Give this access key the right to list the bucket and to read, write and delete its objects.",
    "InvalidAccessKeyId": "Check CINEFARM_S3_ACCESS_KEY: the server does not know it.",
    "SignatureDoesNotMatch": "Check CINEFARM_S3_SECRET_KEY, and CINEFARM_S3_REGION.",
    "AuthorizationHeaderMalformed": "Set CINEFARM_S3_REGION to the region of the bucket.",
    "PermanentRedirect": "Set CINEFARM_S3_ENDPOINT and CINEFARM_S3_REGION to those of the bucket.",
    "RequestTimeTooSkewed": "Set this machine's clock: it is too far from the server's (use NTP).",
    "SlowDown": "The server asks for fewer requests: try later, or run fewer workers.",
    "QuotaExceeded": "Make room in the bucket, or raise its quota.",
    "XMinioStorageFull": "Make room on the disks of the S3 server.",
    "KMS.NotFoundException": "Check CINEFARM_S3_KMS_KEY.",
    "InvalidObjectState": "The object lies in an archive tier: restore it first.",
    "PreconditionFailed": "Try again: another process replaced the object meanwhile.",
}
_NO_CONNECTION = "Check CINEFARM_S3_ENDPOINT, the network and the server; with TLS also CINEFARM_S3_CA_FILE."
_NO_CREDENTIALS = "Set CINEFARM_S3_ACCESS_KEY and CINEFARM_S3_SECRET_KEY."


@dataclass(frozen=True)
class Role:
    """What a bucket is to us: a name for sentences, and the error that its faults become."""

    called: str
    fault: type[StoreFault | DestinationUnavailable]


STORE = Role("the store", StoreFault)


class Connection:
    """One S3 server and its credentials. A forked child gets connections of its own: two must not share a socket."""

    def __init__(self, settings: Settings, role: Role = STORE) -> None:
        """Nothing is opened yet.

        Raises:
            PolicyError: the settings do not fit together.
        """
        self.role = role
        self.retries = settings.s3_retries
        self.encryption = encryption(settings)
        self._settings = settings
        self._client: Minio | None = None
        self._owner = 0

    @property
    def client(self) -> Minio:
        """The SDK's client of this process.

        Raises:
            PolicyError: the endpoint is no URL that the SDK accepts.
        """
        if self._client is None or self._owner != os.getpid():
            self._client, self._owner = _client(self._settings), os.getpid()
        return self._client


def _client(settings: Settings) -> Minio:
    from minio import Minio

    endpoint = urlsplit(settings.s3_endpoint)
    if endpoint.scheme not in ("http", "https") or endpoint.path not in ("", "/"):
        raise PolicyError("CINEFARM_S3_ENDPOINT must be http://host[:port] or https://host[:port]")
    try:
        return Minio(
            endpoint.netloc,
            secure=endpoint.scheme == "https",
            region=settings.s3_region,
            credentials=_credentials(settings),
            http_client=_pool(settings),
        )
    except ValueError as error:
        raise PolicyError(f"CINEFARM_S3_ENDPOINT cannot be used: {error}") from error


def _credentials(settings: Settings) -> Provider:
    """The key of the settings; without one, what the cloud's tools use: AWS variables, its file, the machine's role."""
    from minio.credentials import providers

    if settings.s3_access_key:
        return providers.StaticProvider(settings.s3_access_key, settings.s3_secret_key.get_secret_value())
    return providers.ChainedProvider(
        [providers.EnvAWSProvider(), providers.AWSConfigProvider(), providers.IamAwsProvider()]
    )


def _pool(settings: Settings) -> PoolManager:
    import certifi
    from urllib3 import PoolManager, Timeout

    if settings.s3_ca_file is not None and not settings.s3_ca_file.is_file():
        raise PolicyError("the file that CINEFARM_S3_CA_FILE names is not there")
    return PoolManager(
        maxsize=_CONNECTIONS,
        timeout=Timeout(connect=settings.s3_timeout_seconds, read=settings.s3_timeout_seconds),
        retries=_patience(settings),
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(settings.s3_ca_file or certifi.where()),
    )


def _patience(settings: Settings) -> Retry:
    """All methods: creating an upload twice leaves one to be discarded, and a second completion is recognised."""
    from urllib3 import Retry

    return Retry(
        total=settings.s3_retries,
        backoff_factor=0.2,
        backoff_max=_LONGEST_PAUSE_SECONDS,
        status_forcelist=_BUSY,
        allowed_methods=None,
        raise_on_status=False,  # the server's own words say more than the number of tries
    )


def encryption(settings: Settings) -> Sse | None:
    """What the server is asked to encrypt new objects with.

    Raises:
        PolicyError: SSE-KMS without a key.
    """
    from minio.sse import SseKMS, SseS3

    if settings.s3_encryption == "none":
        return None
    if settings.s3_encryption == "SSE-S3":
        return SseS3()
    if not settings.s3_kms_key:
        raise PolicyError("server-side encryption SSE-KMS needs a key", hint="Set CINEFARM_S3_KMS_KEY.")
    return SseKMS(settings.s3_kms_key, {})


@contextmanager
def faults(what: str, role: Role = STORE) -> Iterator[None]:
    """Whatever the SDK raises becomes an error of the role that names the server's code and what to do, never a key.

    ``what`` completes "the store could not …".
    """
    from minio.error import MinioException, S3Error
    from urllib3.exceptions import HTTPError

    try:
        yield
    except S3Error as error:
        code = str(error.code)
        raise role.fault(f"{role.called} could not {what}: {code}", hint=_HINTS.get(code, "")) from error
    except HTTPError as error:
        reason = type(getattr(error, "reason", None) or error).__name__
        raise role.fault(f"{role.called} could not {what}: no connection ({reason})", hint=_NO_CONNECTION) from error
    except (MinioException, SyntaxError) as error:  # SyntaxError: what the XML parser raises
        message = f"{role.called} could not {what}: the server's answer is not that of an S3 server"
        raise role.fault(message, hint=_NO_CONNECTION) from error
    except ValueError as error:  # how the SDK says that none of the places it asked has credentials
        raise role.fault(f"{role.called} could not {what}: no credentials", hint=_NO_CREDENTIALS) from error


def is_missing(error: EnvironmentFault) -> bool:
    """Whether the fault says that there is no such object, or no such upload."""
    return getattr(error.__cause__, "code", None) in ("NoSuchKey", "NoSuchUpload")

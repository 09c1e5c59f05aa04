"""Every knob, typed, with unit and reason; read once from the environment (``CINEFARM_…``) and frozen after start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)


def default_cpu_slots() -> int:
    """Concurrent transcodes: x264 fills about four cores by itself, and two keep the gaps between orders filled."""
    return max(2, len(os.sched_getaffinity(0)) // 4)


def default_state_dir() -> Path:
    """``$XDG_STATE_HOME/cinefarm``, else ``~/.local/state/cinefarm`` (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "cinefarm"


SECRETS_DIR = "CINEFARM_SECRETS_DIR"
"""Environment variable: a folder of files that are named like settings (``cinefarm_broker_url``) and hold their values, as Compose
and Kubernetes mount secrets. The environment goes before them."""


class Settings(BaseSettings):
    """The settings of one process. A farm differs from the embedded one in its URLs only."""

    model_config = SettingsConfigDict(env_prefix="CINEFARM_", frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then files of the folder SECRETS_DIR names; no .env file is read."""
        folder = os.environ.get(SECRETS_DIR)
        files = (SecretsSettingsSource(settings_cls, secrets_dir=folder),) if folder and Path(folder).is_dir() else ()
        return (init_settings, env_settings, *files)

    broker_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        repr=False,  # may hold a password
        description="Redis or Valkey: redis[s]://user:password@host:port/0, or redis+socket:///path (the embedded farm's)",
    )
    broker_ca_file: Path | None = Field(
        default=None, description="PEM bundle that signs a rediss:// broker; default: certifi's"
    )
    broker_cert_file: Path | None = Field(
        default=None, description="our client certificate (PEM, with its chain), for a broker that asks for one"
    )
    broker_key_file: Path | None = Field(default=None, description="private key of broker_cert_file (PEM)")
    ledger_url: str = Field(default="", repr=False, description="SQLAlchemy URL; empty: SQLite in the state directory")
    store_url: str = Field(
        default="", description="file:///path or s3://bucket/prefix; empty: folder 'objects' in the state directory"
    )
    state_dir: Path = Field(
        default_factory=default_state_dir, description="ledger, objects and logs of an embedded farm"
    )
    s3_endpoint: str = Field(default="https://s3.amazonaws.com", description="S3 server: http[s]://host[:port]")
    s3_region: str = Field(default="us-east-1", description="region that requests are signed for")
    s3_access_key: str = Field(
        default="", description="empty: AWS environment variables, the AWS credentials file, or the machine's role"
    )
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="belongs to s3_access_key")
    s3_ca_file: Path | None = Field(default=None, description="PEM bundle that signs the server; default: certifi's")
    s3_encryption: Literal["none", "SSE-S3", "SSE-KMS"] = Field(
        default="none", description="server-side encryption asked for each object; none: as the bucket is set"
    )
    s3_kms_key: str = Field(default="", description="key id for SSE-KMS")
    s3_part_bytes: int = Field(
        default=8 << 20,
        ge=5 << 20,
        le=64 << 20,
        description="first parts of a multipart upload, bytes (S3 takes none below 5 MiB); two are in memory per writer",
    )
    s3_timeout_seconds: float = Field(
        default=60.0, gt=0, description="longest silence of the S3 server, s, before a request is tried again"
    )
    s3_retries: int = Field(
        default=8,
        ge=0,
        description="further tries of a request; waits double from 0.4 s to 10 s, so 8 of them outlast half a minute",
    )
    profiles_dir: Path | None = Field(
        default=None, description="destination profiles of the site, which go before built-in ones of the same name"
    )
    alive_file: Path | None = Field(
        default=None,
        description="touched every few seconds by a worker or orchestrator that is at work: what a container's health check looks at",
    )
    scratch_dir: Path | None = Field(
        default=None, description="workers' temporary files; default: below the state directory"
    )

    lease_seconds: float = Field(
        default=10.0,
        gt=0,
        description="TTL of a running attempt's lease. Renewed every third of it, so two renewals may fail before it lapses; "
        "with the watcher's sweep of one second and lease_grace_seconds a killed worker's order is out again in < 20 s.",
    )
    lease_grace_seconds: float = Field(
        default=5.0, ge=0, description="wait after a lease lapsed: the result may still be in the result queue"
    )
    max_attempts: int = Field(default=4, ge=1, description="tries per item and stage before it is set aside as failed")
    patience_seconds: float = Field(
        default=3 * 86_400.0,
        ge=0,
        description="how long an item of a submitted job waits for an archive that is away before it fails; a weekend. "
        "`cinefarm migrate` does not wait: it ends with the items that failed named, and the same command goes on",
    )
    window_overrun_seconds: float = Field(
        default=600.0,
        ge=0,
        description="how far the estimated end of an order may lie past the end of its time window, s; else it waits for the next",
    )
    reconcile_seconds: float = Field(
        default=300.0,
        gt=0,
        description="how often the leading orchestrator compares ledger, store and broker, and deletes objects that nobody needs, s",
    )
    keep_results_hours: float = Field(
        default=24.0,
        ge=0,
        description="how long `cinefarm serve` keeps an instance in the store after all its destinations have it, so that people "
        "can look at it, h. 0: it goes at once, as `cinefarm migrate` does it",
    )
    keep_results_free_bytes: int = Field(
        default=20 << 30,
        ge=0,
        description="room that kept results leave on the store's disk, bytes: with less, what is delivered goes at once",
    )
    cpu_slots: int = Field(default=0, ge=0, description="concurrent transcodes of a worker; 0: from the cores")
    io_slots: int = Field(default=2, ge=1, description="concurrent describe and deliver orders of a worker")

    visibility_seconds: float = Field(
        default=120.0,
        gt=0,
        description="how long the broker waits before it restores a message that was fetched and never acknowledged. Orders "
        "are acknowledged when a pool process accepts them, results when the ledger has them: within seconds",
    )
    drain_seconds: float = Field(
        default=25.0,
        ge=0,
        description="how long a worker that is told to stop lets its orders run before it hands them back; 5 s less than "
        "Kubernetes' terminationGracePeriodSeconds of 30",
    )
    liveness_seconds: float = Field(
        default=30.0,
        gt=0,
        description="a worker that takes none of its own probe orders for this long, with a free slot and a broker that "
        "answers, no longer takes orders: it ends, and its supervisor starts it again",
    )
    breaker_failures: int = Field(
        default=3,
        ge=1,
        description="orders of different items that fail in a row by a worker's fault: it leaves the service",
    )
    breaker_pause_seconds: float = Field(
        default=60.0, gt=0, description="wait before such a worker tests itself and comes back; doubles each time"
    )

    child_memory_bytes: int = Field(
        default=8 << 30,
        description="address space of one decoder or encoder child, bytes: a broken file must not take the node",
    )
    describe_seconds: float = Field(
        default=120.0, description="wall time for describing one source, plus its read time"
    )
    transcode_minimum_seconds: float = Field(default=600.0, description="least wall-time limit of an encode, s")
    transcode_speed_floor: float = Field(
        default=0.02,
        gt=0,
        description="slowest believable encode, as a fraction of real time; the limit follows from it",
    )

    worst_frames: Literal["all", "quarantined", "off"] = Field(
        default="all",
        description="whose five worst frames are drawn beside the evidence: of every result that was measured, of those that "
        "missed their gate, or of none. The pictures may show burned-in names, as the video does",
    )
    chunk_after_seconds: float = Field(
        default=0.0,
        ge=0,
        description="estimated work from which one video is encoded by several workers, where slots are idle, s; 0: never. Off "
        "by default: the cuts are part of the result's address and UID, so farms of different size would give one source two",
    )
    chunk_seconds: float = Field(default=60.0, gt=0, description="least estimated work of one chunk, s")
    chunk_threads: int = Field(
        default=1,
        ge=1,
        description="encoder threads of a chunk. One: chunks beside each other use the cores better than threads within one. "
        "More where a worker has fewer slots than a quarter of its cores",
    )
    render_node: str = Field(
        default="/dev/dri/renderD128", description="DRM device that VAAPI encodes on; the first GPU's by default"
    )

    flower_address: str = Field(
        default="127.0.0.1", description="where Flower listens; beyond loopback it needs a password"
    )
    flower_port: int = Field(default=5555, ge=1, le=65535, description="TCP port of Flower")
    flower_basic_auth: str = Field(
        default="", repr=False, description="name:password of those who may see Flower; several with commas"
    )

    http_port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        description="TCP port of the HTTP API and the web page that `cinefarm serve` runs beside its work; 0: none",
    )
    http_address: str = Field(
        default="127.0.0.1",
        description="address of the machine that they listen on; beyond loopback they need api_tokens",
    )
    http_hosts: str = Field(
        default="",
        description="further names that clients may call us by, with commas: of a proxy before us. Without api_tokens, others "
        "than loopback's are refused, so that no page of another site reaches us through a browser (DNS rebinding)",
    )
    http_cert_file: Path | None = Field(
        default=None, description="certificate of API and web page (PEM, with its chain): they speak TLS; default: HTTP"
    )
    http_key_file: Path | None = Field(default=None, description="private key of http_cert_file (PEM, no password)")
    api_tokens: SecretStr = Field(
        default=SecretStr(""),
        description="who may use API and web page: name:SHA-256 of a token, hexadecimal; several with commas. Empty: whoever "
        "reaches the port, which is then on loopback",
    )
    api_tokens_file: Path | None = Field(default=None, description="the same, a pair a line; read at start")
    api_calls_per_minute: int = Field(
        default=6000,
        ge=0,
        description="calls of one token a minute, and as many at once; more are told to wait (429). 0: no limit",
    )
    api_signatures: bool = Field(
        default=True,
        description="who accepts a result that missed its gate shows their token once more, as a signature (docs/api.md); where "
        "nobody has a token, nobody can",
    )
    api_url: str = Field(
        default="",
        description="where commands find the API: http[s]://host:port; empty: what a service on this machine wrote into the "
        "state directory, or else http://127.0.0.1:8080",
    )
    api_token: SecretStr = Field(default=SecretStr(""), description="the token that commands show there")
    api_ca_file: Path | None = Field(default=None, description="PEM bundle that signs api_url; default: certifi's")

    audit_seal_seconds: float = Field(
        default=60.0, gt=0, description="how often the leading orchestrator seals the audit trail, s (docs/audit.md)"
    )
    audit_key_file: Path | None = Field(
        default=None, description="Ed25519 private key (PEM) that signs the seals; none: they are chained, not signed"
    )

    audit_syslog_url: str = Field(
        default="",
        description="collector of DICOM audit messages: syslog+tls://host[:6514]; empty: none (docs/audit.md)",
    )
    audit_syslog_ca_file: Path | None = Field(
        default=None, description="PEM bundle that signs the collector; default: certifi's"
    )
    audit_syslog_cert_file: Path | None = Field(
        default=None, description="our client certificate (PEM, with its chain), for a collector that asks for one"
    )
    audit_syslog_key_file: Path | None = Field(default=None, description="private key of audit_syslog_cert_file (PEM)")
    audit_source: str = Field(
        default="", description="AuditSourceID of our audit messages; default: name of the machine"
    )

    dicom_ae_title: str = Field(
        default="CINEFARM", max_length=16, description="our Application Entity title (PS3.5 6.2, AE)"
    )
    commitment_hours: float = Field(
        default=48.0,
        gt=0,
        description="how long an archive may take to prove that it keeps what it took, h; reports a day late are normal",
    )
    commitment_again_hours: float = Field(
        default=6.0, gt=0, description="wait for an archive's report before it is asked again, as a new transaction, h"
    )
    commit_report_seconds: float = Field(
        default=5.0,
        ge=0,
        description="wait for an archive's report on the association of the request, s; later it opens one to our listener",
    )
    commit_gather_seconds: float = Field(
        default=2.0,
        ge=0,
        description="wait before an archive is asked about an instance, so that one request covers many, s",
    )
    commit_wait_seconds: float = Field(
        default=600.0,
        ge=0,
        description="how long `cinefarm migrate` waits at its end for archives to prove what they took, s; the same command goes on",
    )
    dicom_max_pdu_bytes: int = Field(
        default=131_072,
        description="longest PDU offered and sent, bytes; 0: the default (an unlimited one holds the whole file in memory)",
    )
    dicom_ca_file: Path | None = Field(
        default=None,
        description="PEM bundle that signs the peers of DICOM over TLS (dicom+tls://), archives and modalities; default: "
        "certifi's for archives",
    )
    dicom_cert_file: Path | None = Field(
        default=None, description="our certificate for DICOM over TLS (PEM, with its chain), as client and as listener"
    )
    dicom_key_file: Path | None = Field(default=None, description="private key of dicom_cert_file (PEM)")

    dicomweb_token: SecretStr = Field(
        default=SecretStr(""),
        description="bearer token for DICOMweb servers; where a job meets several: dicomweb_credentials_file",
    )
    dicomweb_basic_auth: SecretStr = Field(
        default=SecretStr(""), description="name:password for DICOMweb servers, in place of dicomweb_token"
    )
    dicomweb_credentials_file: Path | None = Field(
        default=None,
        description='TOML, a table a server: ["pacs.example:8042"] token = "…" or basic_auth = "name:password"; read anew with '
        "each order. With it, nobody but the servers it names gets credentials",
    )
    dicomweb_ca_file: Path | None = Field(
        default=None, description="PEM bundle that signs DICOMweb servers; default: certifi's"
    )
    dicomweb_cert_file: Path | None = Field(
        default=None, description="our client certificate (PEM, with its chain), for DICOMweb servers that ask for one"
    )
    dicomweb_key_file: Path | None = Field(default=None, description="private key of dicomweb_cert_file (PEM)")
    dicomweb_proxy: str = Field(
        default="",
        repr=False,
        description="http://[user:password@]host:port between us and DICOMweb servers; empty: none",
    )
    dicomweb_patience_seconds: float = Field(
        default=60.0,
        ge=0,
        description="longest wait within one order for a server that says Retry-After or fails now and then, s; an order that "
        "waits holds a slot, so longer outages are waited out in the ledger",
    )

    listen_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="TCP port of the listener that `cinefarm serve` and `cinefarm migrate` run beside their work; 0: none. "
        "`cinefarm listen` without --port takes it too, or else 11112 (IANA: dicom)",
    )
    listen_address: str = Field(
        default="0.0.0.0",  # noqa: S104 modalities are elsewhere
        description="address of the machine that we listen on; '::' is all of IPv6 and, as Linux does it, of IPv4",
    )
    listen_aet: str = Field(
        default="", max_length=16, description="AE title that the listener answers to; default: ours"
    )
    listen_rules: Path | None = Field(
        default=None, description="rules file of the listener (docs/listen.md); none: what arrives is kept, no more"
    )
    listen_tls: Literal["off", "on", "anonymous"] = Field(
        default="off",
        description="TLS on the listener's port, with our certificate; on: clients must show one that dicom_ca_file signs, "
        "anonymous: they need none",
    )
    listen_associations: int = Field(
        default=16,
        ge=1,
        le=256,
        description="associations at a time; more are told to try later. Each takes up to 6 MB of memory, on an S3 store "
        "up to 16 MB, and more from 5 GB on",
    )
    listen_request_seconds: float = Field(
        default=30.0, gt=0, description="from the connection to the whole association request, TLS included (ARTIM)"
    )
    listen_stall_seconds: float = Field(
        default=60.0, gt=0, description="longest silence within a message, s; then the association is aborted"
    )
    listen_idle_seconds: float = Field(
        default=900.0, gt=0, description="longest silence between messages, s: an examination may pause"
    )
    listen_free_bytes: int = Field(
        default=2 << 30,
        ge=0,
        description="room that the listener leaves on the store's disk, bytes: the ledger, and the work on what has arrived, "
        "need some. With less it refuses (A700) until there is more",
    )
    listen_keep_days: float = Field(
        default=7.0,
        ge=0,
        description="how long what was received is kept after its item is done; of items that are not done for ever",
    )

    @property
    def objects_dir(self) -> Path:
        """Where the folder store lies."""
        return self.state_dir / "objects"

    @property
    def scratch(self) -> Path:
        """Where workers put temporary files."""
        return self.scratch_dir or self.state_dir / "scratch"

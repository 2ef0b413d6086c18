"""The settings of a deployment (limits, folders, threads), read once from the environment (`TALKING_HEAD_...`)."""

from __future__ import annotations

import os
import re
import tempfile
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.errors import OptionError

PERSISTENT = Path("/data")
"""Where a Space that pays for it has its persistent storage."""
CHAT_PROMPT = (
    "Your answers are spoken aloud by a person in a video. Answer in one to three short sentences of plain words, without lists or markup."
)
_TURN = re.compile(r"turns?:[^\s?#/]+(\?transport=(udp|tcp))?")
_USER_INFO = re.compile(r"//[^/]*@")
"""What an address may have of a name and its password."""
_ORIGIN = re.compile(r"https?://(\*\.)?[\w.-]+(:\d+)?")


def _own_folder(what: str) -> Path:
    """One folder per user of the machine: it is private, so a shared name would lock the others out."""
    return Path(tempfile.gettempdir()) / f"talking-head-{what}-{os.getuid()}"


def use_some_temporary_folder() -> None:
    """Where the system's temporary folders cannot be written (a hardened host), one in the user's cache is this process's from now on.

    What it is for others, and for libraries, is told by TMPDIR.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        own = _cache_of_user() / "talking-head" / "tmp"
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(own)


def _own_outputs() -> Path:
    """Below the folder that Gradio is told to keep files in, where it is."""
    told = os.environ.get("GRADIO_TEMP_DIR", "").strip()
    return Path(told) / "talking-head" if told else _own_folder("outputs")


def _own_cache() -> Path:
    """Where programs of this user keep what should outlive a restart: in a Space its persistent storage, where it has one; else the
    cache of the user, and the temporary folder for a user without a home.
    """
    if os.environ.get("SPACE_ID") and os.access(PERSISTENT, os.W_OK):
        return PERSISTENT / "talking-head"
    home = _cache_of_user()
    return home / "talking-head" if home.is_absolute() else _own_folder("cache")


def _cache_of_user() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"))


def _told_root() -> str:
    """The path of GRADIO_ROOT_PATH, by which programs that use Gradio are told where a proxy shows them."""
    return urlsplit(os.environ.get("GRADIO_ROOT_PATH", "").strip()).path.rstrip("/")


class Settings(BaseSettings):
    """All limits in one place; e.g. `TALKING_HEAD_MAX_AUDIO_S=60` in the environment changes one."""

    model_config = SettingsConfigDict(env_prefix="TALKING_HEAD_", frozen=True)

    max_audio_s: float = Field(default=600.0, gt=0, description="Longest recording accepted, seconds")
    min_audio_s: float = Field(default=0.04, gt=0, description="Shortest recording accepted, seconds")
    max_audio_bytes: int = Field(default=100 * 2**20, gt=0, description="Largest recording accepted, bytes")
    max_text_chars: int = Field(default=5000, gt=0, le=100_000, description="Longest text that is spoken, characters")
    voice: str = Field(default="", max_length=100, description="The voice where none is asked for; none: the first that is installed")
    speech_bytes: int = Field(default=256 * 2**20, ge=0, description="Synthesised speech kept, bytes; that unused longest goes first")
    max_spoken: int = Field(default=4, ge=1, description="Texts that are spoken for their sound alone at the same time")
    owner_max_spoken: int = Field(default=2, ge=1, description="The same, of one owner")
    speech_threads: int = Field(default=0, ge=0, le=64, description="Threads that speak one sentence; 0: one for each core, four at most")
    speech_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Speech service with OpenAI's protocol, such as https://api.example.org/v1",
    )
    speech_key: SecretStr | None = Field(default=None, description="Its key; it stays on the server")
    speech_model: str = Field(default="tts-1", min_length=1, max_length=200, description="Its model")
    speech_voices: Annotated[tuple[str, ...], NoDecode] = Field(default=("alloy",), description="Its voices, with commas")
    speech_format: Literal["pcm", "wav", "mp3"] = Field(default="pcm", description="What it sends; pcm (24 kHz) is heard while it arrives")
    speech_timeout_s: float = Field(default=20.0, gt=0, le=300, description="How long it may send nothing")
    chat_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Language model with OpenAI's protocol, such as https://api.example.org/v1",
    )
    chat_key: SecretStr | None = Field(default=None, description="Its key; it stays on the server")
    chat_model: str = Field(default="gpt-4o-mini", min_length=1, max_length=200, description="Its model")
    chat_prompt: str = Field(default=CHAT_PROMPT, max_length=20_000, description="What the model is told first, the system prompt")
    chat_timeout_s: float = Field(default=20.0, gt=0, le=300, description="How long it may send nothing")
    chat_answer_s: float = Field(default=120.0, gt=0, le=3600, description="How long one answer may take in all")
    chat_answer_chars: int = Field(default=4000, ge=100, le=100_000, description="Longest answer; what is beyond is left out")
    chat_echo: bool = Field(default=True, description="Without a model, a built-in echo answers live conversations, under that name")
    recognition_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Speech recognition with OpenAI's protocol, such as https://api.example.org/v1",
    )
    recognition_key: SecretStr | None = Field(default=None, description="Its key; it stays on the server")
    recognition_model: str = Field(default="whisper-1", min_length=1, max_length=200, description="Its model")
    recognition_timeout_s: float = Field(default=20.0, gt=0, le=300, description="How long it may send nothing")
    recognition_answer_s: float = Field(default=60.0, gt=0, le=3600, description="How long its answer may take to arrive once it has begun")
    caption_recordings: bool = Field(
        default=True, description="Pages and servers find the captions of recordings where there is a recogniser; else only where asked for"
    )
    says_per_minute: int = Field(default=120, ge=1, description="Texts that one owner's live sessions are asked to say")
    chats_per_minute: int = Field(default=30, ge=1, description="Messages of one owner's conversations")
    max_live: int = Field(default=4, ge=0, description="Live sessions at the same time")
    owner_max_live: int = Field(default=2, ge=0, description="The same, of one owner")
    max_live_s: float = Field(default=4 * 3600.0, gt=0, description="Longest live session")
    webrtc: bool = Field(default=True, description="Live sessions may be watched and spoken to over WebRTC, where it is installed")
    max_peers: int = Field(default=64, ge=0, description="WebRTC connections at the same time")
    owner_max_peers: int = Field(default=16, ge=0, description="The same, of one owner")
    session_max_viewers: int = Field(default=8, ge=0, description="WebRTC connections that watch one live session")
    stun_url: str = Field(default="", pattern=r"^(stun:[^\s?#/]+)?$", description="STUN server, such as stun:stun.example.org:3478")
    turn_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="TURN servers, with commas, such as turns:turn.example.org:443?transport=tcp; the server uses the first"
    )
    turn_secret: SecretStr | None = Field(
        default=None, description="Shared with them (coturn: static-auth-secret): names are made that end when a session must"
    )
    turn_username: str = Field(default="", max_length=200, description="Instead of the secret: a name, which every client is told")
    turn_password: SecretStr | None = Field(default=None, description="Its password, which every client is told")
    webrtc_relay_only: bool = Field(default=False, description="WebRTC goes through TURN alone; nobody is told the server's own addresses")
    max_image_bytes: int = Field(default=30 * 2**20, gt=0, description="Largest photo accepted, bytes")
    max_image_pixels: int = Field(default=50_000_000, gt=0, description="Largest photo accepted, pixels (checked before decoding)")
    min_image_px: int = Field(default=64, gt=0, description="Shortest side of a photo accepted")
    max_video_bytes: int = Field(default=300 * 2**20, gt=0, description="Largest video of a face accepted, bytes")
    max_video_s: float = Field(default=60.0, gt=0, le=3600, description="Seconds of a video that are used")
    max_video_store_bytes: int = Field(default=4 * 2**30, gt=0, description="Frames of one registered video in a temporary file, bytes")
    max_jobs: int = Field(
        default=1, ge=0, le=64, description="Jobs that run at the same time; 0: this server takes jobs for others and makes none"
    )
    max_queue: int = Field(default=16, ge=0, le=10_000, description="Jobs that may wait")
    max_pending_bytes: int = Field(default=1024 * 2**20, ge=0, description="Recordings and photos of jobs that wait or run, bytes")
    max_decoded_bytes: int = Field(default=256 * 2**20, ge=0, description="The same, decoded and held in memory, bytes")
    previews_bytes: int = Field(
        default=256 * 2**20, ge=0, description="Photos whose faces visitors of the pages were shown, decoded and held in memory, bytes"
    )
    jobs_database: SecretStr | None = Field(
        default=None, description="Jobs of several machines: postgresql://USER:PASSWORD@HOST/NAME; none: a file in the cache folder"
    )
    redis_url: SecretStr | None = Field(
        default=None, description="News and limits of rate of several machines: redis://[:PASSWORD@]HOST/0; none: of one machine"
    )
    s3_bucket: str = Field(
        default="",
        pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?)?$",
        description="Files of several machines: s3://BUCKET or s3://BUCKET/PREFIX, with jobs_database; none: the folders below",
    )
    s3_endpoint: str | None = Field(
        default=None, pattern=r"^https?://[^\s?#@]+$", description="Where the bucket is, such as https://minio.internal:9000; none: AWS"
    )
    s3_avatars_bytes: int = Field(
        default=256 * 2**30, ge=0, description="Avatars in the bucket, bytes; those unused longest go first, once an hour has passed"
    )
    output_dir: Path = Field(default_factory=_own_outputs, description="Where the pages and servers put videos")
    output_ttl_s: float = Field(default=3600.0, gt=0, description="How long an ended job and its video are kept")
    output_bytes: int = Field(default=4 * 2**30, ge=0, description="Videos of ended jobs, bytes; the oldest go first")
    stream_bytes: int = Field(default=2 * 2**30, ge=0, description="Streams that wait for their readers, bytes; a quarter for each at most")
    uploads_at_once: int = Field(default=8, ge=1, description="Requests whose upload is read at the same time")
    owner_uploads_at_once: int = Field(default=4, ge=1, description="The same, of one owner")
    upload_timeout_s: float = Field(default=120.0, gt=0, description="How long one upload may take in all")
    uploads_per_minute: int = Field(default=60, ge=1, description="Uploads of one visitor of the pages; one address has four times as many")
    owner_uploads_bytes: int = Field(
        default=512 * 2**20, ge=0, description="Uploads of one visitor of the pages kept, bytes; those unused longest go first"
    )
    c2pa_cert: Path | None = Field(default=None, description="PEM certificates, the signer's first: with c2pa_key, every video is signed")
    c2pa_key: Path | None = Field(default=None, description="PEM private key of the first certificate")
    c2pa_alg: Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = Field(default="es256", description="Its algorithm")
    c2pa_tsa_url: str | None = Field(default=None, pattern=r"^https?://\S+$", description="RFC 3161 time-stamping service for signatures")
    cache_dir: Path = Field(default_factory=_own_cache, description="Where avatars and finished videos are kept for the next time")
    registrations_bytes: int = Field(default=512 * 2**20, ge=0, description="Registered photos kept in memory, bytes")
    avatars_bytes: int = Field(default=4 * 2**30, ge=0, description="Avatars kept on the disk, bytes; those unused longest go first")
    max_avatars: int = Field(default=100, ge=1, description="Avatars of one owner")
    keep_results: bool = Field(default=True, description="Pages and servers keep finished videos and answer the same request with them")
    results_bytes: int = Field(default=2 * 2**30, ge=0, description="Finished videos kept, bytes; those unused longest go first")
    results_ttl_s: float = Field(default=86_400.0, gt=0, description="How long a finished video is kept")
    share_caches: bool = Field(default=False, description="One owner's finished videos may answer another's same request")
    require_consent: bool = Field(default=False, description="Avatars need the declared consent of the person shown")
    page_size: int | None = Field(
        default=None,
        ge=64,
        le=1920,
        multiple_of=2,
        description="Side of the pages' videos where a visitor chooses none, pixels (default: 512 on a fast machine, else 320)",
    )
    label: bool = Field(default=True, description='Pages and servers draw a small "AI" into their videos')
    mark: bool = Field(default=True, description="Pages and servers draw the imperceptible mark into their videos and streams")
    mark_key: SecretStr | None = Field(
        default=None, min_length=16, max_length=200, description="Key of the deployment's own pattern beside it, 16 characters or more"
    )
    detections_per_minute: int = Field(default=20, ge=1, description="Videos of one owner that are looked at for marks")
    max_detections: int = Field(default=2, ge=1, le=64, description="Videos that are looked at for marks at the same time; one of an owner")
    mark_id: int = Field(default=0, ge=0, lt=2**32, description="The number that this pattern says")
    shared_batches: bool = Field(default=False, description="On a GPU, Ditto draws the frames of all sessions in shared batches")
    fetch_ditto: bool = Field(default=True, description="Pages and servers fetch Ditto where a GPU is there and it is missing")
    zero_gpu_call_s: float = Field(default=60.0, ge=10, description="Longest call on a GPU that is lent (ZeroGPU), seconds")
    zero_gpu_video_s: float = Field(default=120.0, ge=10, description="GPU seconds that one video may take there")
    zero_gpu_compile_s: float = Field(
        default=600.0, ge=0, le=3000, description="Seconds of that GPU in which Ditto is compiled at each start; 0: it is not"
    )
    max_connections: int = Field(default=512, ge=8, description="Requests at the same time; more are told to come back")
    address_connections: int = Field(default=128, ge=8, description="The same, from one address")
    header_timeout_s: float = Field(default=10.0, gt=0, description="How long the head of a request may take")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description='Names under which pages and servers are reached, with commas; "*.example.org" for all below, "*" for any'
    )
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        default=(), description="Addresses and networks of reverse proxies, with commas: their word on who asks is taken"
    )
    root_path: str = Field(
        default_factory=_told_root,
        validate_default=True,
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path below which a proxy shows pages and servers, such as /talk; the proxy takes it off what it passes on",
    )
    frame_ancestors: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Origins whose pages may show the page in a frame, with commas; in a Space, huggingface.co by itself"
    )

    @field_validator("trusted_proxies", "allowed_hosts", "frame_ancestors", "speech_voices", "turn_urls", mode="before")
    @classmethod
    def _listed_by_commas(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("turn_urls")
    @classmethod
    def _are_turn_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            if not _TURN.fullmatch(url):
                raise ValueError("It must be addresses such as turn:turn.example.org:3478, with commas")
        return value

    @field_validator("jobs_database", "redis_url")
    @classmethod
    def _is_address_of_server(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        schemes = ("postgresql", "postgres") if info.field_name == "jobs_database" else ("redis", "rediss")
        if value is not None and urlsplit(value.get_secret_value()).scheme not in schemes:
            raise ValueError(f"It must begin with {schemes[0]}://")
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _has_jobs_in_database(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("jobs_database") is None:
            raise ValueError("It needs TALKING_HEAD_JOBS_DATABASE: the files are those of jobs that several machines know")
        return value

    @field_validator("frame_ancestors")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError("It must be origins such as https://example.org, with commas")
        return value


S = TypeVar("S", bound=Settings)


def load_settings() -> Settings:
    """The settings of this process. Raises OptionError naming the first bad variable."""
    return read_settings(Settings)


def read_settings(kind: type[S]) -> S:
    """The same with an entry point's own settings beside them."""
    use_some_temporary_folder()
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = f"TALKING_HEAD_{'_'.join(map(str, first['loc'])).upper()}"
        hidden = "Secret" in str(kind.model_fields[str(first["loc"][0])].annotation)
        value = "not what it must be" if hidden else _USER_INFO.sub("//...@", repr(first["input"]))
        raise OptionError(f"{name} is {value}.", f"{first['msg']}.") from None  # the cause has the value

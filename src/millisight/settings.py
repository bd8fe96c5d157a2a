"""Every setting once: name, type, default, limits and help.

What is unknown or out of range is refused by name before anything starts. Where values come from
is in ``sources``.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from millisight.errors import SettingsError
from millisight.sources import CONFIG, Given, Source, given_settings, variable_of

Count = Annotated[int, BeforeValidator(lambda value: 0 if value == "auto" else value)]
"""A number of processes or threads; 0, or the word auto, leaves the choice to millisight."""

HomePath = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]  # noqa: PTH111
"""A path that may start with ``~``, which no shell expands in a file; ``Path`` would raise where
it cannot be expanded."""


def _parts(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part for one in value.split(",") if (part := one.strip())]


Names = Annotated[tuple[str, ...], BeforeValidator(_parts), Field(min_length=1)]
"""One or more of something: a list, or one text with commas between them."""


Device = Annotated[str, AfterValidator(str.upper), Field(pattern=r"^\w+(\.\d+)?$")]
"""An OpenVINO device; ``GPU.1`` is the second of several."""


class Settings(BaseModel):
    """One frozen value, made at the edge and handed down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: HomePath = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("millisight")),
        description="Folder that holds the bundles.",
    )
    model: Names = Field(
        ("auto",),
        description="Bundle to serve: a name in the store, or a path. "
        "auto takes resnet18 if it is built, else the starter. Give several to serve them side by "
        "side: the option again, a list in the file, commas in the variable. The first answers "
        "who names none.",
    )
    device: Device = Field(
        "CPU",
        description="OpenVINO device that runs the network: CPU, GPU, NPU, or AUTO for the best "
        "one there is. millisight devices lists them.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    grpc_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port to answer the Open Inference Protocol's gRPC service on, too; 0 for "
        "none.",
    )
    max_upload_mb: float = Field(
        10.0, gt=0, le=1024, description="Largest request body, in megabytes of 1,000,000 bytes."
    )
    max_bodies_mb: float = Field(
        100.0,
        gt=0,
        le=65_536,
        description="Most bytes of requests' bodies a worker holds at one time, in megabytes, all "
        "together; more are refused with 429. One alone may always come.",
    )
    max_megapixels: float = Field(
        50.0, gt=0, le=178, description="Largest picture, in millions of pixels."
    )
    max_decoding_megapixels: float = Field(
        50.0,
        gt=0,
        le=65_536,
        description="Most pixels a worker decodes at one time, in millions, all pictures together; "
        "one picture alone may always be decoded.",
    )
    deadline_ms: int = Field(
        5000, ge=10, le=600_000, description="Longest time from first byte to answer."
    )
    workers: Count = Field(
        0,
        ge=0,
        le=1024,
        description="Server processes on the one port, each with its own share of the cores; "
        "0 or auto takes one for every four cores.",
    )
    threads: Count = Field(
        0,
        ge=0,
        le=1024,
        description="Pictures that a worker decodes and classifies side by side, one a core; "
        "0 or auto takes every core it may use.",
    )
    max_batch: int = Field(
        1, ge=1, le=256, description="Most pictures that one run of the network takes."
    )
    max_wait_ms: int = Field(
        0, ge=0, le=1000, description="How long a picture may wait for company; 0 never waits."
    )
    max_queue: int = Field(
        256, ge=1, le=100_000, description="Pictures that may wait; more are refused with 429."
    )
    cache_entries: int = Field(
        4096,
        ge=0,
        le=10_000_000,
        description="Most answers a worker remembers for pictures that come again; 0 remembers "
        "none.",
    )
    cache_mb: float = Field(
        8.0, gt=0, le=65_536, description="Most memory a worker's answers may take, in megabytes."
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="API keys, separated by commas: who shows none of them is refused. Not an "
        "option, since everybody on the machine sees those.",
    )
    api_keys_file: str = Field("", description="File with API keys, one a line.")
    admin_token: SecretStr = Field(
        SecretStr(""),
        description="What POST /admin/reload must show; without it, nobody may.",
    )
    allow_origins: str = Field(
        "",
        description="Other origins whose pages may ask from a browser, separated by commas; "
        "* for all of them.",
    )
    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="OpenTelemetry collector that is sent a trace of every request, by OTLP over "
        "HTTP, such as http://127.0.0.1:4318. Needs the extra otel.",
    )
    weights_mirror: str = Field(
        "",
        description="Base URL to download weights from instead of the official host.",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="How the server logs: text for people, json for programs, one object a line.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe message that is logged."
    )
    access_log: bool = Field(
        default=True,
        description="Log a line for every request: at level info, faults of the server at warning, "
        "health checks that pass at debug.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        # A file may say max_batch = true, which pydantic would take for 1.
        if isinstance(value, bool) and not is_switch(str(info.field_name)):
            raise PydanticCustomError("not_a_switch", "It is not a switch")
        return value


def is_switch(setting: str) -> bool:
    """Whether it is either on or off."""
    return Settings.model_fields[setting].annotation is bool


def is_secret(setting: str) -> bool:
    """Whether its value is to be shown to nobody."""
    return Settings.model_fields[setting].annotation is SecretStr


def choices(setting: str) -> tuple[str, ...]:
    """The words that it may be, if it is one of few."""
    field = Settings.model_fields[setting].annotation
    return get_args(field) if get_origin(field) is Literal else ()


def listed(value: str) -> list[str]:
    """What a setting names that holds several, separated by commas or spaces."""
    return value.replace(",", " ").split()


def load_settings(
    flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Settings from ``flags`` (``None`` values count as absent), the environment and the file.

    Raises ``SettingsError`` naming the first setting that is unknown or wrong, or saying why the
    settings file cannot be read.
    """
    given = given_settings(flags, environ)
    try:
        return Settings(**{setting: one.value for setting, one in given.items()})
    except ValidationError as error:
        raise _explain(error, given) from error


def _explain(error: ValidationError, given: Mapping[str, Given]) -> SettingsError:
    """The first complaint of pydantic as a sentence that names the setting."""
    first = error.errors()[0]
    setting = str(first["loc"][0])
    one = given[setting]
    if first["type"] == "extra_forbidden":
        return SettingsError(
            f"There is no setting {setting} ({one.origin}).", hint=_known(setting, one.source)
        )
    field = Settings.model_fields[setting]
    shown = "what it is" if is_secret(setting) else repr(first["input"])
    near = difflib.get_close_matches(str(first["input"]), choices(setting), n=1)
    return SettingsError(
        f"Setting {setting} cannot be {shown} ({one.origin}): {first['msg']}.",
        hint=f"Did you mean {near[0]}?" if near else field.description or "",
    )


def _known(setting: str, source: Source) -> str:
    """What was meant by ``setting``, which there is not, as one writes it there."""
    known = list(Settings.model_fields)
    if source == "variable":
        known.append(CONFIG)
    near = difflib.get_close_matches(setting, known, n=1)
    if not near:
        return f"Known settings: {', '.join(known)}."
    return f"Did you mean {variable_of(near[0]) if source == 'variable' else near[0]}?"

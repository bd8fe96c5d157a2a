"""Every setting once: name, type, default, limits and help.

A value comes from a command-line flag, else from the environment (``MILLISIGHT_<NAME>``), else
from the default. What is unknown or out of range is refused by name before anything starts.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from millisight.errors import SettingsError

ENV_PREFIX = "MILLISIGHT_"

Count = Annotated[int, BeforeValidator(lambda value: 0 if value == "auto" else value)]
"""A number of processes or threads; 0, or the word auto, leaves the choice to millisight."""


class Settings(BaseModel):
    """One frozen value, made at the edge and handed down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("millisight")),
        description="Folder that holds the bundles.",
    )
    model: str = Field(
        "auto",
        description="Bundle to serve: a name in the store, or a path. "
        "auto takes resnet18 if it is built, else the starter.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_upload_mb: float = Field(
        10.0, gt=0, le=1024, description="Largest request body, in megabytes of 1,000,000 bytes."
    )
    max_megapixels: float = Field(
        50.0, gt=0, le=178, description="Largest picture, in millions of pixels."
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
        description="Inference threads of a worker; 0 or auto takes every core it may use.",
    )
    decode_threads: Count = Field(
        0,
        ge=0,
        le=1024,
        description="Threads of a worker that decode pictures; 0 or auto takes one a core.",
    )
    max_batch: int = Field(
        4, ge=1, le=256, description="Most pictures the network takes in one run."
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
    weights_mirror: str = Field(
        "",
        description="Base URL to download weights from instead of the official host.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe message that is logged."
    )


def load_settings(
    flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Settings from ``flags`` (``None`` values count as absent) over the environment.

    Raises ``SettingsError`` naming the first setting that is unknown or wrong.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, value in environ.items():
        if name.startswith(ENV_PREFIX):
            setting = name.removeprefix(ENV_PREFIX).lower()
            values[setting] = value
            origins[setting] = f"environment variable {name}"
    for setting, value in (flags or {}).items():
        if value is not None:
            values[setting] = value
            origins[setting] = f"option --{setting.replace('_', '-')}"
    try:
        return Settings(**values)
    except ValidationError as error:
        raise _explain(error, origins) from error


def _explain(error: ValidationError, origins: Mapping[str, str]) -> SettingsError:
    """The first complaint of pydantic as a sentence that names the setting."""
    first = error.errors()[0]
    setting = str(first["loc"][0])
    origin = origins[setting]
    known = list(Settings.model_fields)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(setting, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known settings: {', '.join(known)}."
        return SettingsError(f"There is no setting {setting} ({origin}).", hint=hint)
    return SettingsError(
        f"Setting {setting} cannot be {first['input']!r} ({origin}): {first['msg']}.",
        hint=Settings.model_fields[setting].description or "",
    )

"""Where settings come from: what is said of each, by whom, and who is heard first.

A value comes from a command-line flag, else from the environment (``MILLISIGHT_<NAME>``), else
from the settings file, else from the default.

pydantic-settings has sources for all of these, but passes over unknown variables in silence and
does not tell where a value came from.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from millisight.errors import SettingsError

ENV_PREFIX = "MILLISIGHT_"
CONFIG = "config"
"""Names the settings file: as ``--config`` and as ``MILLISIGHT_CONFIG``. Not itself a setting."""

Source = Literal["option", "variable", "file"]
"""Who says something of a setting; the first that does is heard."""

_IN_WORDS: dict[Source, str] = {
    "option": "option",
    "variable": "environment variable",
    "file": "file",
}


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody said of one setting."""

    value: Any
    """As it was written; not checked."""
    source: Source
    place: str
    """The option, the variable, or the path of the file."""

    @property
    def origin(self) -> str:
        """Where, in words: ``option --port``, ``environment variable …`` or ``file …``."""
        return f"{_IN_WORDS[self.source]} {self.place}"


def option_of(setting: str) -> str:
    """The option that sets it."""
    return f"--{setting.replace('_', '-')}"


def variable_of(setting: str) -> str:
    """The environment variable that sets it."""
    return f"{ENV_PREFIX}{setting.upper()}"


def given_settings(
    flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> dict[str, Given]:
    """What is said of each setting, and where; of those that are left alone, nothing.

    Arguments as for ``load_settings``. Raises ``SettingsError`` for an unreadable settings file.
    """
    outside = _said_outside(flags, environ)
    named = outside.pop(CONFIG, None)
    path = settings_file(flags, environ)
    said = _read(path, named)
    return {setting: Given(value, "file", str(path)) for setting, value in said.items()} | outside


def settings_file(
    flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None
) -> Path:
    """The settings file: the one that is named, else the user's own; either may be absent."""
    named = _said_outside(flags, environ).get(CONFIG)
    if named is not None:
        return Path(named.value)
    return Path(platformdirs.user_config_dir("millisight")) / "settings.toml"


def _said_outside(
    flags: Mapping[str, Any] | None, environ: Mapping[str, str] | None
) -> dict[str, Given]:
    """What flags and environment say, the settings file's name included."""
    said = {
        name.removeprefix(ENV_PREFIX).lower(): Given(value, "variable", name)
        for name, value in (os.environ if environ is None else environ).items()
        if name.startswith(ENV_PREFIX)
    }
    for setting, value in (flags or {}).items():
        if value is not None:
            said[setting] = Given(value, "option", option_of(setting))
    return said


def _read(path: Path, named: Given | None) -> dict[str, Any]:
    """The table in the settings file ``path``; empty where nobody ``named`` it and there is none.

    Raises ``SettingsError``.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        if named is None and not _is_there(path):
            return {}
        where = "" if named is None else f" ({named.origin})"
        raise SettingsError(
            f"Settings file {path} cannot be read{where}: {error.strerror}.",
            hint=f"Name a file of settings with {option_of(CONFIG)} or {variable_of(CONFIG)}; an "
            "empty one will do.",
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"Settings file {path} is not TOML: {error}.",
            hint="Each line is one setting, such as: port = 8000",
        ) from error


def _is_there(path: Path) -> bool:
    """Whether ``path`` exists; false where this process may not look.

    A server that runs as another user than the one whose home it has must start all the same.
    """
    try:
        return path.exists()
    except OSError:
        return False

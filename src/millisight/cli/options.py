"""Command-line options made from the table of settings, so that each stands in one place."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from millisight.settings import CONFIG, ENV_PREFIX, Settings

Function = TypeVar("Function", bound=Callable[..., Any])


def _absent_or_all(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Not given is ``None``, as for options that may come once."""
    return values or None


def setting_options(*names: str) -> Callable[[Function], Function]:
    """A decorator that adds one option a setting, and ``--config``; not given is ``None``.

    Values are passed on as text and checked with all other sources by ``load_settings``.
    """

    def decorate(function: Function) -> Function:
        function = click.option(
            f"--{CONFIG}",
            metavar="FILE",
            help="Settings file. [default: settings.toml in the user's configuration folder] "
            f"[env: {ENV_PREFIX}{CONFIG.upper()}]",
        )(function)
        for name in reversed(names):
            field = Settings.model_fields[name]
            default = "a folder of the user's" if field.default_factory else field.default
            several = isinstance(default, tuple)
            if several:
                default = ", ".join(default)
            shown = "" if default == "" else f" [default: {default}]"
            option = click.option(
                f"--{name.replace('_', '-')}",
                name,
                metavar=name.rsplit("_", 1)[-1].upper(),
                multiple=several,
                callback=_absent_or_all if several else None,
                help=f"{field.description}{shown} [env: {ENV_PREFIX}{name.upper()}]",
            )
            function = option(function)
        return function

    return decorate

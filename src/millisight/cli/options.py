"""Command-line options made from the table of settings, so that each stands in one place."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from millisight.cli.complete import complete_file, complete_setting
from millisight.settings import Settings, choices, is_switch
from millisight.sources import CONFIG, option_of, variable_of

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
            option_of(CONFIG),
            metavar="FILE",
            shell_complete=complete_file,
            help="Settings file. [default: settings.toml in the user's configuration folder] "
            f"[env: {variable_of(CONFIG)}]",
        )(function)
        for name in reversed(names):
            function = (_switch if is_switch(name) else _value)(name)(function)
        return function

    return decorate


def _value(name: str) -> Callable[[Function], Function]:
    default = Settings.model_fields[name].default
    several = isinstance(default, tuple)
    return click.option(
        option_of(name),
        name,
        metavar="|".join(choices(name)) or name.rsplit("_", 1)[-1].upper(),
        multiple=several,
        callback=_absent_or_all if several else None,
        shell_complete=complete_setting(name),
        help=_help(name, ", ".join(default) if several else str(default)),
    )


def _switch(name: str) -> Callable[[Function], Function]:
    """Two options: ``--access-log`` and ``--no-access-log``."""
    on, off = option_of(name), option_of(f"no_{name}")
    default = on if Settings.model_fields[name].default else off
    return click.option(f"{on}/{off}", name, default=None, help=_help(name, default))


def _help(name: str, default: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory:
        default = "a folder of the user's"
    shown = f" [default: {default}]" if default else ""
    return f"{field.description}{shown} [env: {variable_of(name)}]"

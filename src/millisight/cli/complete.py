"""What a shell offers when the Tab key is pressed, beside the names of commands and options."""

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from millisight.errors import MillisightError
from millisight.settings import choices, load_settings

Items = list[CompletionItem[str]]
Complete = Callable[[click.Context, click.Parameter, str], Items]


def complete_file(_context: click.Context, _parameter: click.Parameter, begun: str) -> Items:
    """The shell's own way with paths."""
    return [CompletionItem(begun, type="file")]


def _complete_folder(_context: click.Context, _parameter: click.Parameter, begun: str) -> Items:
    return [CompletionItem(begun, type="dir")]


def complete_model(context: click.Context, parameter: click.Parameter, begun: str) -> Items:
    """The models in the store; where none begins so, paths."""
    # Reading the store takes what reads bundles.
    from millisight.bundle import list_bundles

    given = {name: context.params.get(name) for name in ("config", "home")}
    try:
        home: Path = load_settings(given).home
        names = [name for name, _ in list_bundles(home) if name.startswith(begun)]
    # Nothing can be said while somebody types; the command itself will say what is wrong.
    except (MillisightError, OSError):
        names = []
    return [CompletionItem(name) for name in names] or complete_file(context, parameter, begun)


_OWN: dict[str, Complete] = {
    "api_keys_file": complete_file,
    "home": _complete_folder,
    "model": complete_model,
}


def complete_setting(name: str) -> Complete:
    """What completes the value of the setting ``name``."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> Items:
        if name in _OWN:
            return _OWN[name](context, parameter, begun)
        return [CompletionItem(word) for word in choices(name) if word.startswith(begun)]

    return complete

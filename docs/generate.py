"""Write the reference pages that follow from the code: settings, commands and errors.

Run ``make docs`` after changing any of them; a test compares the pages with what this makes.
"""

from pathlib import Path

import click
from annotated_types import Ge, Gt, Le

from millisight import errors
from millisight.cli.exit_codes import exit_code
from millisight.cli.main import COMMANDS, commands
from millisight.errors import MillisightError
from millisight.settings import Settings, choices, is_secret, is_switch
from millisight.sources import CONFIG, option_of, variable_of

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Made by `make docs`; do not edit. -->"


def settings_page() -> str:
    """Every setting with its flag, variable, default and limits."""
    lines = [
        "# Settings",
        "",
        NOTE,
        "",
        "A value comes from the command's option, else from the environment variable, else from "
        "the settings file, else from the default. The file is TOML, one `name = value` a line, "
        "where a name is the option's with `_` for `-`: `max_batch = 4`. It is the one that "
        f"`{option_of(CONFIG)}` or `{variable_of(CONFIG)}` names, else `millisight/settings.toml` "
        "in the user's configuration folder (on Linux `~/.config`), if there is one. An unknown "
        "`MILLISIGHT_…` variable, an unknown name in the file or a value out of range is refused "
        "at the start, by name, with the nearest right one. `millisight config` shows every "
        "setting with its value and where it comes from.",
        "",
        "| option | environment | default | allowed | meaning |",
        "|---|---|---|---|---|",
    ]
    lines += [_row(name) for name in Settings.model_fields]
    return "\n".join(lines) + "\n"


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    option = "" if is_secret(name) else f"`{option_of(name)}`"
    if is_switch(name):
        option += f", `{option_of(f'no_{name}')}`"
    return (
        f"| {option} | `{variable_of(name)}` | {_default(name)} | {_allowed(name)} "
        f"| {field.description} |"
    )


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory:
        return "the user's data folder"
    if is_secret(name) or field.default == "":
        return ""
    if is_switch(name):
        return "`on`" if field.default else "`off`"
    return f"`{', '.join(field.default) if isinstance(field.default, tuple) else field.default}`"


def _allowed(name: str) -> str:
    limits = Settings.model_fields[name].metadata
    least = [str(limit.ge) for limit in limits if isinstance(limit, Ge)]
    least += [f"above {limit.gt}" for limit in limits if isinstance(limit, Gt)]
    greatest = [str(limit.le) for limit in limits if isinstance(limit, Le)]
    if is_switch(name):
        return "`on`, `off`"
    return ", ".join(f"`{word}`" for word in choices(name)) or " to ".join(least + greatest)


def commands_page() -> str:
    """The help of every command, as it is printed."""
    context = click.Context(commands, info_name="millisight", max_content_width=96)
    parts = ["# Commands", "", NOTE, "", _help(commands, context)]
    for name in COMMANDS:
        command = commands.get_command(context, name) or commands
        below = click.Context(command, context, info_name=name, max_content_width=96)
        parts += [f"## millisight {name}", "", _help(command, below)]
    return "\n".join(parts)


def _help(command: click.Command, context: click.Context) -> str:
    text = command.get_help(context)
    return "```text\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n```\n"


def errors_page() -> str:
    """Every error's code, HTTP status and exit code."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, MillisightError)
    ]
    lines = [
        "# Errors",
        "",
        NOTE,
        "",
        'Every answer that is not a success is `{"error": "<sentence>", "code": "…", "hint": "…", '
        '"request_id": "…"}`. Branch on `code`; the sentences may change. An unknown path is '
        "`not_found` (404), a wrong method `method_not_allowed` (405).",
        "",
        "| code | HTTP status | exit code | when |",
        "|---|---|---|---|",
    ]
    for kind in kinds:
        summary = (kind.__doc__ or "").splitlines()[0]
        lines.append(f"| `{kind.code}` | {kind.status} | {exit_code(kind(''))} | {summary} |")
    return "\n".join(lines) + "\n"


PAGES = {"settings.md": settings_page, "commands.md": commands_page, "errors.md": errors_page}


if __name__ == "__main__":
    for page, make in PAGES.items():
        (REFERENCE / page).write_text(make(), encoding="utf-8")

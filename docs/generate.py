"""Write the reference pages that follow from the code: settings, commands and errors.

Run ``make docs`` after changing any of them; a test compares the pages with what this makes.
"""

from pathlib import Path

import click
from annotated_types import Ge, Gt, Le
from pydantic import SecretStr

from millisight import errors
from millisight.cli.exit_codes import exit_code
from millisight.cli.main import COMMANDS, commands
from millisight.errors import MillisightError
from millisight.settings import CONFIG, ENV_PREFIX, Settings

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
        f"`--{CONFIG}` or `{ENV_PREFIX}{CONFIG.upper()}` names, else `millisight/settings.toml` in "
        "the user's configuration folder (on Linux `~/.config`), if there is one. An unknown "
        "`MILLISIGHT_…` variable, an unknown name in the file or a value out of range is refused "
        "at the start, by name.",
        "",
        "| option | environment | default | allowed | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        least = [str(limit.ge) for limit in field.metadata if isinstance(limit, Ge)]
        least += [f"above {limit.gt}" for limit in field.metadata if isinstance(limit, Gt)]
        greatest = [str(limit.le) for limit in field.metadata if isinstance(limit, Le)]
        secret = field.annotation is SecretStr
        option = "" if secret else f"`--{name.replace('_', '-')}`"
        shown = ", ".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "the user's data folder" if field.default_factory else f"`{shown}`"
        lines.append(
            f"| {option} | `{ENV_PREFIX}{name.upper()}` "
            f"| {'' if secret or field.default == '' else default} "
            f"| {' to '.join(least + greatest)} | {field.description} |"
        )
    return "\n".join(lines) + "\n"


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

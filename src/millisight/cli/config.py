"""``millisight config``: every setting, its value, and who says so."""

import json
from typing import Any

import click

from millisight.cli.options import setting_options
from millisight.settings import Settings, is_secret, load_settings
from millisight.sources import Given, given_settings, settings_file

_OPTIONS = tuple(name for name in Settings.model_fields if not is_secret(name))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@setting_options(*_OPTIONS)
def config(as_json: bool, **flags: Any) -> None:
    """Show every setting with its value and where that comes from: an option given here, an
    environment variable, the settings file, or the default. Nothing is started.

    What is unknown or wrong is refused as every other command would, with the exit code 2. Of
    secrets it is shown only whether they are set.

    \b
    Examples:
      millisight config
      millisight config --config server.toml --port 9000
      millisight config --json | jq .settings.workers
    """
    settings = load_settings(flags)
    given = given_settings(flags)
    values = settings.model_dump(mode="json")
    path = settings_file(flags)
    if as_json:
        body = {
            "file": str(path) if path.is_file() else None,
            "settings": {name: _body(values[name], given.get(name)) for name in values},
        }
        click.echo(json.dumps(body, ensure_ascii=False, indent=2))
        return
    click.echo(f"Settings file: {path}{'' if path.is_file() else ' (there is none)'}")
    _show([(name, _shown(value), _origin(given.get(name))) for name, value in values.items()])


def _body(value: object, one: Given | None) -> dict[str, object]:
    if one is None:
        return {"value": value, "source": "default"}
    return {"value": value, "source": one.source, "place": one.place}


def _shown(value: object) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case list():
            return ", ".join(value)
    return str(value)


def _origin(one: Given | None) -> str:
    return "default" if one is None else one.origin


def _show(rows: list[tuple[str, str, str]]) -> None:
    # Who wants an object need not wait for what draws tables.
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from millisight.cli.tables import show

    table = Table("setting", "value", "from", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        style = "" if row[-1] == "default" else "bold"
        # What somebody wrote is not to be taken for markup.
        table.add_row(*(Text(cell) for cell in row), style=style)
    show(table)

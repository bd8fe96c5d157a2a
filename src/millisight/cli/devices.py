"""``millisight devices``: what OpenVINO can compute on here."""

import dataclasses
import json

import click

from millisight.devices import find_devices


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def devices(as_json: bool) -> None:
    """List the devices that OpenVINO finds here, as --device takes them, with the arithmetic each
    is good at.

    \b
    Examples:
      millisight devices
      millisight devices --json | jq -r '.[].name'
    """
    found = find_devices()
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found]))
        return
    for one in found:
        click.echo(f"{one.name}  {one.full_name}  ({', '.join(one.capabilities)})")

"""``millisight models``: what is in the store."""

import json
from typing import Any

import click
from rich.table import Table

from millisight.bundle import list_bundles, read_bundle
from millisight.cli.options import setting_options
from millisight.cli.tables import show
from millisight.errors import BundleError
from millisight.manifest import Manifest
from millisight.settings import load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@setting_options("home")
def models(as_json: bool, **flags: Any) -> None:
    """List the bundles in the store, with size, accuracy and where the weights came from.

    \b
    Examples:
      millisight models
      millisight models --json | jq -r '.[].name'
    """
    settings = load_settings(flags)
    rows: list[dict[str, Any]] = []
    for name, path in list_bundles(settings.home):
        row: dict[str, Any] = {"name": name, "path": str(path)}
        try:
            row |= _facts(read_bundle(path).manifest)
        except BundleError as error:
            row["error"] = error.message
        rows.append(row)
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        show(_table(rows))


def _facts(manifest: Manifest) -> dict[str, Any]:
    measured = manifest.measured
    return {
        "architecture": manifest.architecture,
        "precision": manifest.precision,
        "megabytes": round(manifest.size / 1e6, 1),
        "classes": manifest.class_count,
        "top1": measured.bundle.top1 if measured.bundle else None,
        "agreement": measured.agreement,
        "weights": manifest.weights.source,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("name", "precision", "size", "classes", "top-1", "agreement", "weights")
    for row in rows:
        if "error" in row:
            table.add_row(row["name"], "damaged", "", "", "", "", row["error"])
            continue
        table.add_row(
            row["name"],
            row["precision"],
            f"{row['megabytes']} MB",
            str(row["classes"]),
            "" if row["top1"] is None else f"{row['top1']:.1f} %",
            f"{row['agreement']:.1f} %",
            row["weights"],
        )
    return table

"""What the commands of the building half have in common: options, needs, and what they print."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click

from millisight.bundle import REPORT, Bundle
from millisight.errors import BuildUnavailable
from millisight.manifest import Confidence, Manifest, Precision
from millisight.settings import Settings, load_settings
from millisight.sources import CONFIG

BUILD_SETTINGS = ("weights_mirror", "home")

weights_option = click.option(
    "--weights", type=click.Path(path_type=Path), help="A state dict to load instead of download."
)

labels_option = click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="Class names: one a line, a JSON list, or TorchServe's index_to_name.json.",
)

calibration_option = click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Folder of pictures like those to come; INT8 ranges are taken from them. "
    "[default: photographs that scikit-image and scikit-learn install]",
)

images_option = click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of real pictures to ask about; labelled ones (class folders, or files named "
    "<index>_…) show accuracy. [default: photographs that scikit-image and scikit-learn install]",
)

precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="int8",
    show_default=True,
    help="Arithmetic of the network.",
)

max_drop_option = click.option(
    "--max-drop",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Points of top-1 accuracy that the bundle may lose against float32.",
)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def take_settings(options: dict[str, Any]) -> Settings:
    """The settings of ``BUILD_SETTINGS``, whose flags are taken out of ``options``."""
    return load_settings({name: options.pop(name) for name in (*BUILD_SETTINGS, CONFIG)})


@contextlib.contextmanager
def building(command: str, extras: str = "build") -> Iterator[None]:
    """A block that imports the building half. Raises ``BuildUnavailable`` where one of its
    ``extras`` is not installed, and says how to run ``command`` where they are."""
    try:
        yield
    except ImportError as error:
        raise BuildUnavailable(
            f"This environment can serve, but `millisight {command}` needs {error.name} too.",
            hint=f"Run `make build-env`, then `.venv-build/bin/millisight {command}`; "
            f"or `pip install 'millisight[{extras}]'` elsewhere.",
        ) from error


def tell(bundle: Bundle, *, served_as: str, as_json: bool) -> None:
    """Print what ``bundle`` is, what was measured, and how to serve it."""
    if as_json:
        report = None if bundle.report is None else str(bundle.path / REPORT)
        body = {
            "model": served_as,
            "path": str(bundle.path),
            "report": report,
            "manifest": bundle.manifest.model_dump(mode="json"),
        }
        click.echo(json.dumps(body, ensure_ascii=False))
        return
    click.echo(bundle.manifest.describe())
    click.echo(_figures(bundle.manifest))
    click.echo(f"Written to {bundle.path}")
    if bundle.report is not None:
        click.echo(f"Report: {bundle.path / REPORT}")
    click.echo(f"Serve it: millisight serve --model {served_as}")


def _figures(manifest: Manifest) -> str:
    measured = manifest.measured
    difference = f"largest logit difference {measured.max_logit_difference:.1e}"
    compared = f"{measured.agreement_images} pictures not used to calibrate"
    lines = [
        f"float32 graph against torch: {difference}",
        f"bundle against float32: same first answer on {measured.agreement} % of {compared}",
    ]
    if measured.float32 is not None and measured.bundle is not None:
        lines.append(
            f"accuracy on {measured.bundle.images} labelled pictures: "
            f"top-1 {measured.bundle.top1} % (float32 {measured.float32.top1} %), "
            f"top-5 {measured.bundle.top5} % (float32 {measured.float32.top5} %)"
        )
        lines += _trust(manifest.confidence)
    return "\n".join(lines)


def _trust(confidence: Confidence | None) -> list[str]:
    """How sure the bundle is, and whether that is what was asked for."""
    if confidence is None:
        return ["confidences are as they come: too few labelled pictures to correct them"]
    lines = [
        f"confidences: temperature {confidence.temperature}, expected calibration error "
        f"{confidence.ece_before} before and {confidence.ece_after} after "
        f"({confidence.ece_by_chance} by chance alone)"
    ]
    wanted = confidence.min_precision
    if confidence.threshold is not None:
        lines.append(
            f"uncertain below {confidence.threshold:.1%}: of the {confidence.coverage:.1%} "
            f"that are not, {confidence.precision:.1%} are right ({wanted:.1%} wanted)"
        )
    elif wanted is not None:
        lines.append(f"no answer will be marked uncertain: at no confidence are {wanted:.1%} right")
    return lines

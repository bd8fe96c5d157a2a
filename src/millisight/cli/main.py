"""The command group, and the one place where errors become exit codes."""

import signal
import sys
from types import FrameType
from typing import NoReturn

import click

import millisight
from millisight.cli import exit_codes
from millisight.cli.completion import NAME, VARIABLE
from millisight.cli.lazy import LazyGroup
from millisight.cli.terminal import say
from millisight.errors import MillisightError

EPILOG = """\b
Examples:
  millisight serve                     answer on http://127.0.0.1:8000
  millisight classify photo.jpg        the three most likely classes
  millisight classify archive/ --output results.csv
  millisight embed holiday/ --output features.parquet
  millisight build resnet18            make a bundle (needs the build extra)
  millisight train steel/ --name steel a bundle of your own classes
  millisight tune --p99 20ms           the best settings for this machine
  millisight config                    every setting, and where it comes from

\b
Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 unusable picture or
data, 4 no such model, 5 damaged bundle, 6 building or another
extra is not installed, 7 build failed, 8 build lost too much accuracy, 9 nothing
keeps the limit asked of tune, 130 interrupted.
"""


COMMANDS = {
    "serve": "Answer over HTTP.",
    "classify": "Label pictures and folders of pictures.",
    "evaluate": "Measure accuracy and speed on labelled pictures.",
    "embed": "Write embeddings of pictures to a file.",
    "search": "Find the pictures most like these.",
    "models": "List the models there are.",
    "train": "Make a bundle of your own classes from a folder of pictures.",
    "build": "Make a bundle from a torch model.",
    "tune": "Find the best settings for this machine.",
    "compare": "Measure every way to run a model on this machine.",
    "export": "Write a model for use elsewhere.",
    "devices": "List what can run the network.",
    "config": "Show every setting and where it comes from.",
    "completion": "Make a shell complete this command.",
}
"""Each with its line of help; its module in this package has its name."""


@click.group(
    cls=LazyGroup,
    package="millisight.cli",
    lazy=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(millisight.__version__, prog_name="millisight")
def commands() -> None:
    """Classify images in milliseconds on a plain CPU, with nothing sent anywhere."""


def main() -> NoReturn:
    """Run the command line and exit."""
    # A service manager's stop is to leave no half-written files, like Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Outside its standalone mode click returns the status of an Exit instead of exiting.
        status = commands.main(prog_name=NAME, complete_var=VARIABLE, standalone_mode=False)
    except MillisightError as error:
        say(f"Error: {error.message}", err=True)
        if error.hint:
            say(error.hint, err=True)
        sys.exit(exit_codes.exit_code(error))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(exit_codes.INTERRUPTED)
    sys.exit(status or exit_codes.OK)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

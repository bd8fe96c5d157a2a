"""What is said on a terminal, one line at a time."""

import re

import click

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
r"""What would move the cursor, end the line, turn its direction or is no text. A name of a file may
have any of it: such a name could forge lines, and on some terminals do more."""


def say(line: str, *, err: bool = False) -> None:
    """Print ``line``, on standard error with ``err``."""
    click.echo(harmless(line), err=err)


def harmless(line: str) -> str:
    r"""``line`` with controls written as ``\u001b``, which is the same in JSON."""
    return _CONTROLS.sub(lambda control: f"\\u{ord(control[0]):04x}", line)

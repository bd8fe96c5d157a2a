"""Tables on stdout: as wide as the terminal, and where there is none, one row a line."""

from rich.console import Console
from rich.table import Table


def show(table: Table) -> None:
    """Print ``table``. What a pipe leads to is not to find cells cut off or broken in two."""
    console = Console()
    if not console.is_terminal:
        unbounded = console.options.update(max_width=_UNBOUNDED)
        console.width = max(console.width, console.measure(table, options=unbounded).maximum)
    console.print(table)


_UNBOUNDED = 100_000
"""Columns; wider than anything."""

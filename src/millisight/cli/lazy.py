"""Commands that are imported when they are used, so that none waits for another's libraries."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group of commands, each in the module of its name.

    The pattern is the one of Click's manual, "Lazily Loading Subcommands"; the lines of help are
    here too, so that neither help nor a shell's completion has to import them all.
    """

    def __init__(
        self, *arguments: Any, package: str, lazy: Mapping[str, str], **options: Any
    ) -> None:
        """``lazy`` has a line of help for each command; ``package`` has the modules."""
        super().__init__(*arguments, **options)
        self._package = package
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name, without importing anything."""
        return sorted([*super().list_commands(ctx), *self._lazy])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now if it was not yet; ``None`` where there is none."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"{self._package}.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As without this class, but the nearest names are looked for among all."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(
                error.command_name, possibilities=self.list_commands(ctx), ctx=ctx
            ) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with their lines of help."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self._lazy.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands that begin so; else the options."""
        found = [
            CompletionItem(name, help=line)
            for name, line in sorted(self._lazy.items())
            if name.startswith(incomplete)
        ]
        return found or click.Command.shell_complete(self, ctx, incomplete)

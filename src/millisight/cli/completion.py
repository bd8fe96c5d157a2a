"""``millisight completion``: what makes a shell complete this command."""

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

NAME = "millisight"
VARIABLE = "_MILLISIGHT_COMPLETE"
"""How the shell's script asks for completions."""

SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that has SHELL complete commands, options, models and paths.

    \b
    Examples:
      echo 'eval "$(millisight completion bash)"' >> ~/.bashrc
      echo 'eval "$(millisight completion zsh)"' >> ~/.zshrc     (below compinit)
      millisight completion fish > ~/.config/fish/completions/millisight.fish
    """
    script = SHELLS[shell](context.find_root().command, {}, NAME, VARIABLE).source()
    click.echo(script, nl=False)

"""``millisight completion``: what makes a shell complete this command."""

import click
from click.shell_completion import get_completion_class

NAME = "millisight"
VARIABLE = "_MILLISIGHT_COMPLETE"
"""How the shell's script asks for completions."""


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that has SHELL complete commands, options, models and paths.

    \b
    Examples:
      echo 'eval "$(millisight completion bash)"' >> ~/.bashrc
      echo 'eval "$(millisight completion zsh)"' >> ~/.zshrc     (below compinit)
      millisight completion fish > ~/.config/fish/completions/millisight.fish
    """
    kind = get_completion_class(shell)
    script = kind(context.find_root().command, {}, NAME, VARIABLE).source()
    click.echo(script, nl=False)

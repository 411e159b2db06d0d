"""What a shell offers when one presses Tab: `completion`, and the names of what there is."""

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from .common import common

PROGRAM = "vaezoo"
VARIABLE = "_VAEZOO_COMPLETE"  # by which the shell's script asks
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
@click.pass_context
def completion(ctx: click.Context, shell: str, plugins_dir: Path | None) -> None:
    """A script that teaches SHELL the verbs, options and names; source it when the shell starts."""
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(made(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())


def names(*kinds: str) -> Complete:
    """Completes the last name of a selection such as "vae,not:be" by those of these kinds, as
    `list` calls them; in brackets nothing is offered.
    """

    def complete(
        ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        if incomplete.count("[") > incomplete.count("]"):
            return []
        sign = "not:" if last.startswith("not:") else ""
        begun = last.removeprefix("not:")
        known = _known(kinds, ctx.params.get("plugins_dir"))
        return [
            CompletionItem(f"{before}{comma}{sign}{name}", help=words)
            for name, words in known.items()
            if name.startswith(begun)
        ]

    return complete


def _known(kinds: tuple[str, ...], plugins_dir: object) -> dict[str, str]:
    """Name -> what it is, in a line."""
    from .listing import rows_of

    folder = plugins_dir if isinstance(plugins_dir, Path) else None
    rows = [row for kind in kinds for row in rows_of(kind, folder)]
    return {str(row["name"]): str(row.get("what", "")) for row in rows}

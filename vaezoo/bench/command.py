"""The command of a run, as run.json keeps it."""

import shlex
from collections.abc import Sequence
from pathlib import Path


def command_line(arguments: Sequence[str], out: Path) -> str:
    """What one types to run it again, quoted for a shell.

    The results folder is named relative to the working directory, or by its last part where it
    lies elsewhere: results are passed on, and where a machine keeps them is of no use to others.
    """
    return shlex.join(["vaezoo", *(_portable(argument, out) for argument in arguments)])


def _portable(argument: str, out: Path) -> str:
    option, equals, value = argument.rpartition("=")
    is_option = option in ("", "--out")
    if not is_option or not out.is_absolute() or Path(value) != out:
        return argument
    here = Path.cwd()
    shown = out.relative_to(here) if out.is_relative_to(here) else Path(out.name)
    return f"{option}{equals}{shown}"

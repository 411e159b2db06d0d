"""The group of verbs, and the one place where an exception becomes a sentence and an exit code."""

import os
import select
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from types import FrameType
from typing import Any, NoReturn

import click

from ..bench.signals import ENDS, answered
from ..bench.text import bear_any_console
from .common import echo

LONGEST_ARGUMENT = 20_000  # letters; the names of all variants have a thousand
LONGEST_SENTENCE = 2_000

# What a user can cause (exit code 2), and what a training can come to (1). Names, for to import the
# modules takes seconds.
MISTAKES = (
    "vaezoo.bench.asked.PlanError",
    "vaezoo.bench.report.report.ReportError",
    "vaezoo.bench.store.StoreError",
    "vaezoo.bench.suites.SuiteError",
    "vaezoo.core.spec.Unsupported",
    "vaezoo.data.files.BadData",
    "vaezoo.data.files.CorruptData",
    "vaezoo.data.files.MissingData",
    "vaezoo.hyperparameters.HyperparameterError",
    "vaezoo.registry.guard.PluginError",
    "vaezoo.registry.selection.SelectionError",
    "vaezoo.training.weights.CheckpointError",
    "vaezoo.training.settings.SettingError",
)
FAILURES = ("vaezoo.training.budget.Diverged",)


class Terminated(BaseException):
    """A signal came where nobody else waits for it. It ends the verb as Ctrl-C does, with a
    sentence, wherever it is.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Verbs(click.Group):
    """A group that ends with our exit codes."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **_: Any
    ) -> NoReturn:
        arguments = sys.argv[1:] if args is None else list(args)
        bear_any_console()
        sys.exit(self._code(arguments, prog_name or "vaezoo"))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are needed, not of the alphabet

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            near = get_close_matches(args[0], self.commands, 2)
            hint = (
                f"; did you mean {' or '.join(map(repr, near))}?"
                if near
                else f"; there are {', '.join(self.commands)}"
            )
            raise click.UsageError(f"no verb is called {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def _code(self, args: list[str], name: str) -> int:
        try:
            with answered(ENDS, _end):
                _must_be_short(args)
                return super().main(args, name, standalone_mode=False) or 0
        except click.exceptions.NoArgsIsHelpError as error:
            echo(error.format_message())
            return 2
        except click.ClickException as error:
            return _said(error.format_message(), 2)
        except (KeyboardInterrupt, click.Abort):
            return _said("stopped", 130)
        except Terminated as signalled:
            return _said("stopped", 128 + signalled.number)
        except BrokenPipeError as error:
            if not _has_lost_its_reader():  # some other pipe, of a process of ours
                return _explained(error)
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (else the interpreter complains when it flushes)
            return 0
        except Exception as error:
            if "--debug" in args:
                traceback.print_exc()
            return _explained(error)


def _has_lost_its_reader() -> bool:
    """Whether nobody reads our output any more; so it is taken to be where nobody can say."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return True


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(number)


def _must_be_short(args: Sequence[str]) -> None:
    for argument in args:
        if len(argument) > LONGEST_ARGUMENT:
            raise click.UsageError(
                f"an argument has {len(argument):,} letters, and at most {LONGEST_ARGUMENT:,} are "
                f"read; it begins with {argument[:30]!r}"
            )


def _explained(error: Exception) -> int:
    if isinstance(error, _imported(FAILURES)):
        return _said(str(error), 1)
    if isinstance(error, _imported(MISTAKES)):
        return _said(str(error), 2)
    if isinstance(error, OSError) and error.filename is not None:
        return _said(f"{error.filename}: {(error.strerror or str(error)).lower()}", 2)
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
        return _said("there is not enough memory for what was asked; ask for smaller sizes", 2)
    return _said(f"internal error, {type(error).__name__}: {error} (--debug shows where)", 3)


def _imported(names: Sequence[str]) -> tuple[type[Exception], ...]:
    """The errors of these names whose modules are loaded; others were not raised."""
    places = [name.rpartition(".") for name in names]
    return tuple(
        getattr(sys.modules[module], name) for module, _, name in places if module in sys.modules
    )


def _said(sentence: str, code: int) -> int:
    is_whole = len(sentence) <= LONGEST_SENTENCE
    echo(f"vaezoo: {sentence if is_whole else sentence[:LONGEST_SENTENCE] + '…'}", err=True)
    return code


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vaezoo", message="%(version)s")
def vaezoo() -> None:
    """A zoo of VAE variants, and one benchmark that compares them on equal terms.

    \b
    vaezoo bench --variants all
    vaezoo bench --variants 'beta[beta=1,4],vae,not:*gan' --datasets digits --seeds 3
    vaezoo list variants
    """

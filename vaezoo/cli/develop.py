"""For whoever writes a plugin: `check`, `new`, `matrix`."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import FOLDER, as_json, common, echo, print_json, registry_of
from .completion import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..author.check import Finding
    from ..registry.entries import Dataset, Variant
    from ..registry.registry import Registry
    from ..registry.selection import Chosen


@click.command()
@click.argument("what", metavar="NAMES|FILE", shell_complete=names("variants", "tags"))
@click.option(
    "--fast",
    is_flag=True,
    help="Only the three quickest kinds of data and, of rows to train on, the largest scale.",
)
@as_json
@common
def check(what: str, fast: bool, wants_json: bool, plugins_dir: Path | None) -> None:
    """Do variants and data sets keep the contract? NAMES as for `bench --variants` or
    `--datasets`, a plugin's FILE, or a file of your own data.

    Exit code 1 where a rule is broken.
    """
    import torch

    from ..author.check import check as findings_of
    from ..author.check_data import check_data
    from ..data.files import Files

    torch.set_num_threads(1)
    found = {}

    def note(label: str, findings: "list[Finding]") -> None:
        found[label] = findings
        if not wants_json:
            _print_findings(label, findings)

    variants, datasets = _choices(what, plugins_dir)
    for choice in variants:
        note(choice.label, findings_of(choice.entry, fast, **choice.values))
    for one in datasets:
        note(one.label, check_data(one.entry, one.values, Files(offline=True)))
    broken = sum(not f.passed for findings in found.values() for f in findings)
    if wants_json:
        print_json({label: list(map(vars, findings)) for label, findings in found.items()})
    else:
        echo(_verdict(len(variants), len(datasets), broken) if found else _loads(what))
    if broken:
        raise click.exceptions.Exit(1)


def _loads(what: str) -> str:
    """Of a file with nothing that has a contract."""
    others = ", ".join(_others_of(registry_of(Path(what).resolve())))
    return f"{what} loads, and brings {others}; what it computes is for its own test"


def _verdict(variants: int, datasets: int, broken: int) -> str:
    counts = [f"{variants} variants"] if variants else []
    counts += [f"{datasets} data sets"] if datasets else []
    return " and ".join(counts) + (f", {broken} broken rules" if broken else " keep the contract")


def _choices(
    what: str, plugins_dir: Path | None
) -> "tuple[list[Chosen[Variant]], list[Chosen[Dataset]]]":
    """The variants and the data sets that are meant."""
    if not what.endswith(".py"):
        return _named(registry_of(plugins_dir), what)
    return _of_file(Path(what))


def _named(
    registry: "Registry", what: str
) -> "tuple[list[Chosen[Variant]], list[Chosen[Dataset]]]":
    from ..registry.selection import SelectionError

    is_known = what in registry.datasets or what in registry.variants
    is_file = Path(what).exists() or Path(what.partition("[")[0]).exists()
    if is_file and not is_known:
        return [], registry.choose_datasets(what)
    try:
        return registry.choose_variants(what), []
    except SelectionError as error:
        if what.partition("[")[0] not in registry.datasets:
            raise error from None
        return [], registry.choose_datasets(what)


def _of_file(path: Path) -> "tuple[list[Chosen[Variant]], list[Chosen[Dataset]]]":
    """What a plugin's file brings."""
    if not path.is_file():
        raise click.UsageError(f"there is no file {path}")
    registry = registry_of(path.resolve())
    names = _brought_by(registry.variants, path)
    datasets = _brought_by(registry.datasets, path)
    if not names and not datasets and not _others_of(registry):
        causes = "; ".join(
            p.cause for p in registry.problems if Path(p.file).resolve() == path.resolve()
        )
        raise click.UsageError(
            f"{path} brings no variant and nothing else" + (f": {causes}" if causes else "")
        )
    return (
        registry.choose_variants(",".join(names)) if names else [],
        registry.choose_datasets(",".join(datasets)) if datasets else [],
    )


def _others_of(registry: "Registry") -> list[str]:
    """What a registry with one file has beside ours, of kinds that have no contract: a metric, a
    figure, a part, an executor, a logger. Its fields have their types, else it would not be there.
    """
    ours = registry_of(None)
    found = []
    for kind in ("metrics", "figures", "executors", "loggers"):
        new = getattr(registry, kind).keys() - getattr(ours, kind).keys()
        found += [f"the {kind[:-1]} {name}" for name in sorted(new)]
    for kind, parts in registry.parts.items():
        found += [f"the {kind} {name}" for name in sorted(parts.keys() - ours.parts[kind].keys())]
    return found


def _brought_by(known: "Mapping[str, Variant] | Mapping[str, Dataset]", path: Path) -> list[str]:
    return [
        entry.name
        for entry in known.values()
        if Path(entry.plugin.file).resolve() == path.resolve()
    ]


def _print_findings(label: str, findings: "list[Finding]") -> None:
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    seconds = sum(f.seconds for f in findings)
    echo(f"{label} ({seconds:.1f} s)")
    for kind, rules in by_kind.items():
        broken = [f for f in rules if not f.passed]
        refusal = next((f.seen for f in rules if f.passed and f.seen), "")
        words = (
            f"does not take it: {refusal}"
            if refusal
            else f"{len(rules) - len(broken)} of {len(rules)} rules kept"
        )
        echo(f"  {kind}: {words}")
        for f in broken:
            echo(f"    {f.rule}: {f.seen}\n      to mend it: {f.mend}")


@click.group()
def new() -> None:
    """The first file of something new."""


def _new_command(kind: str, words: str) -> click.Command:
    """`vaezoo new KIND NAME`."""

    @click.command(kind, help=words)
    @click.argument("name")
    @click.option("--folder", type=FOLDER, default=Path(), help="Where to write (default: here).")
    @common
    def command(
        name: str, folder: Path, plugins_dir: Path | None, is_package: bool = False
    ) -> None:
        _write_new(kind, name, folder, plugins_dir, is_package)

    if kind == "variant":
        help_ = "A whole distribution: pyproject, module, test, README."
        command.params.append(click.Option(["--package", "is_package"], is_flag=True, help=help_))
    return command


def _write_new(
    kind: str, name: str, folder: Path, plugins_dir: Path | None, is_package: bool
) -> None:
    from ..author.scaffold import NewError, new_file

    try:
        written = new_file(kind, name, folder, is_package, registry_of(plugins_dir))
    except NewError as error:
        raise click.UsageError(str(error)) from None
    for path in written:
        echo(path)
    file = next(p for p in written if p.suffix == ".py" and not p.name.startswith("test_"))
    test = next(path for path in written if path.name.startswith("test_"))
    echo(f"its test: pytest {test}")
    echo("next: " + NEXT[kind].format(name=name, file=file, folder=file.parent))


# what shows that the file works
BENCH = "vaezoo bench --plugins-dir {folder} "
CHECK = "vaezoo check {file}, and " + BENCH + "--variants vae,{name}"
NEXT = {
    "variant": CHECK,
    "prior": CHECK,
    "loss": CHECK,
    "likelihood": BENCH + "--variants vae --datasets gaussian --set likelihood={name}",
    "network": BENCH + "--variants vae --set network={name}",
    "dataset": "vaezoo data {name} --plugins-dir {folder}, and " + BENCH + "--datasets {name}",
    "metric": BENCH + "--variants vae --metrics {name}",
    "figure": BENCH + "--variants vae",
}
WORDS = {
    "variant": "A variant that keeps the contract before you have changed a line.",
    "prior": "A prior, and a variant that has it.",
    "loss": "A loss, and a variant that is trained by it.",
    "likelihood": "A likelihood p(x|z), for --set likelihood=NAME.",
    "network": "A network for any variant, for --set network=NAME.",
    "dataset": "A data set, for --datasets NAME.",
    "metric": "A metric: its column stands in the tables.",
    "figure": "A figure that every run draws.",
}
for kind, words in WORDS.items():
    new.add_command(_new_command(kind, words))


@click.command()
@click.option(
    "--rows", type=click.Choice(["encoder", "decoder", "prior", "loss"]), default="encoder"
)
@click.option(
    "--columns", type=click.Choice(["encoder", "decoder", "prior", "loss"]), default="loss"
)
@click.option("--kind", default="image", help="The kind of toy data: image, vector, sequence, …")
@click.option(
    "--document", "is_document", is_flag=True, help="The whole of docs/matrix.md: all tables."
)
@as_json
@common
def matrix(
    rows: str,
    columns: str,
    kind: str,
    is_document: bool,
    wants_json: bool,
    plugins_dir: Path | None,
) -> None:
    """Which parts compose: every pair of two kinds of parts, built at toy size and trained for a
    step.
    """
    import torch

    from ..author.case import SPECS
    from ..author.matrix import document, markdown, pairs

    if kind not in SPECS:
        raise click.UsageError(
            f"no kind of toy data is called {kind!r}; there are {', '.join(SPECS)}"
        )
    torch.set_num_threads(1)
    if is_document:
        return echo(document(registry_of(plugins_dir)), nl=False)
    cells = list(pairs(registry_of(plugins_dir), rows, columns, kind))
    if wants_json:
        return print_json([vars(cell) for cell in cells])
    echo(markdown(cells, rows, columns))

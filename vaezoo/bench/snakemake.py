"""A plan as rules of Snakemake, for labs that run everything by it."""

import shlex
import sys
from pathlib import Path

from .plan import Plan
from .store import Store, to_json
from .text import on_one_line
from .trial import Trial
from .workers.worker import Task

HEAD = """# Written by vaezoo. `snakemake -s {file} --cores 4` trains what is missing.

rule tables:
    input:
{inputs}
    output:
        {report!r}
    shell:
        {shell!r}
"""
RULE = """
rule trial_{number}:  # {title}
    output:
        {trial!r}
    threads: {threads}
    shell:
        {shell!r}
"""


def write_rules(plan: Plan, out: Path, file: Path) -> int:
    """Writes the rules to the file, and what each trial is to OUT/snakemake/; how many trials it
    has.
    """
    store = Store(out.resolve())
    store.prepare()
    trials = [trial for trial in plan.trials if not trial.skip]
    rules = [_rule(plan, store, number, trial) for number, trial in enumerate(trials)]
    head = HEAD.format(
        file=on_one_line(file.name),
        inputs="\n".join(f"        {_made(store, trial)!r}," for trial in trials),
        report=str(store.out / "elbo.csv"),
        shell=_escaped(_shell(sys.executable, "-m", "vaezoo", "report", store.out)),
    )
    file.write_text(head + "".join(rules), encoding="utf-8")
    return len(trials)


def _rule(plan: Plan, store: Store, number: int, trial: Trial) -> str:
    """The rule that trains one trial, which it finds in a file of the store."""
    folder = store.out / "snakemake" / f"build-{trial.key}"
    task = Task(trial, plan.source, store.out, folder, plan.columns)
    name = f"snakemake/{trial.key}.json"
    store.write(name, to_json(task.to_json()))
    train = _shell(sys.executable, "-m", "vaezoo.bench.workers.task", store.out / name)
    # What an earlier run of the rule had begun is of no use.
    shell = f"{_shell('rm', '-rf', folder)} && {train}"
    return RULE.format(
        number=number,
        title=on_one_line(trial.title),
        trial=_made(store, trial),
        threads=trial.threads,
        shell=_escaped(shell),
    )


def _made(store: Store, trial: Trial) -> str:
    """The file that says that a trial has ended."""
    return str(store.trials / trial.key / "trial.json")


def _shell(*words: object) -> str:
    """A command of these words, none of which a shell reads as more than one."""
    return shlex.join(map(str, words))


def _escaped(shell: str) -> str:
    """A command in which Snakemake looks for nothing to fill in."""
    return shell.replace("{", "{{").replace("}", "}}")

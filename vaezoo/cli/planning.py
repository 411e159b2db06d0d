"""From what is asked for to a plan and its prices: `bench` and `plan`."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import echo, files_of, print_json, registry_of, show_grid

if TYPE_CHECKING:
    from ..bench.plan import Plan
    from ..bench.price import Price
    from ..bench.workers.processes import Places

WITHIN = 120.0  # seconds that rows of a plan are tried; the others are estimated from those
NOT_FOR_CPU = "--stack is for a GPU: on a CPU it saves little or nothing"
WHAT = ("variants", "datasets", "seeds", "samplers", "importance_samples")
DEFAULTS: dict[str, Any] = {
    "variants": "all",
    "datasets": "digits",
    "seeds": "3",
    "sets": {},
    "metrics": (),
}


def plan_of(asked: dict[str, Any]) -> "tuple[Plan, float | None]":
    """What to do, and the time limit of a trial in seconds."""
    from ..bench.plan import Request, make_plan
    from ..bench.workers.probe import Processes
    from ..training.settings import chosen_device

    files_of(asked["data_dirs"], asked["offline"])  # which says what is no folder
    wanted, timeout = _wanted(asked)
    if timeout is not None and math.isnan(timeout):
        raise click.UsageError("--timeout is a number of seconds, not nan")
    registry = registry_of(asked["plugins_dir"])
    where = registry.choose_executor(asked["executor"]).entry.name
    # what is not here is said before any data set is read
    device = chosen_device(asked["device"], where == "local")
    machine = {
        "device": device,
        "precision": asked["precision"],
        "threads": asked["threads"],
        "stack": asked["stack"],
        "is_here": where == "local",
    }
    say = is_said(asked["progress"])
    if asked["stack"] > 1 and device == "cpu":
        say(NOT_FOR_CPU)
    request = Request(**wanted, **machine)
    plan = make_plan(registry, request, source=_places(asked), probe=Processes(say=say))
    if without := registry.left_out(wanted["variants"]):
        say(without)  # after what may be wrong, which is one sentence
    return plan, timeout


def _places(asked: dict[str, Any]) -> "Places":
    from ..bench.workers.processes import Places

    folder = asked["plugins_dir"]
    return Places(
        str(folder.resolve()) if folder else None,
        tuple(str(one.resolve()) for one in asked["data_dirs"]),
        asked["offline"],
    )


def _wanted(asked: dict[str, Any]) -> tuple[dict[str, Any], float | None]:
    """What is asked for, else what the suite says, else the defaults; and the time limit."""
    wanted: dict[str, Any] = dict(DEFAULTS)
    timeout = asked["timeout"]
    if asked["suite"]:
        from ..bench.suites import load_suite

        chosen = load_suite(asked["suite"])
        wanted |= chosen.arguments
        timeout = timeout or chosen.timeout
    wanted |= {key: asked[key] for key in WHAT if asked[key] is not None}
    if asked["metrics"]:
        wanted["metrics"] = tuple(asked["metrics"].split(","))
    epochs = {"epochs": asked["epochs"]} if asked["epochs"] else {}
    wanted["sets"] = wanted["sets"] | asked["settings"] | epochs
    wanted["reference"] = asked["reference"]
    if (
        asked["reference"] is None
    ):  # other variants in a suite are there to be compared with its own
        wanted["reference"] = bool(asked["suite"] and asked["variants"])
    return wanted, timeout


def print_plan(
    plan: "Plan",
    out: Path,
    jobs: int | None,
    wants_json: bool,
    say: Callable[[str], object] | None = None,
) -> None:
    """The trials of the plan with their prices."""
    from ..bench.estimate import estimate, priced_trial
    from ..bench.runner import cores

    finished = _finished(plan, out)
    prices = prices_of(plan, out, at_least=1, within=WITHIN, say=say)
    if wants_json:
        return print_json([priced_trial(trial, prices, finished) for trial in plan.trials])
    side = jobs or cores(plan)
    show_grid(estimate(plan, prices, finished, side))


def _finished(plan: "Plan", out: Path) -> frozenset[str]:
    """The keys of the trials that need not be trained again."""
    from ..bench.store import Store

    store = Store(out)
    return frozenset(trial.key for trial in plan.trials if store.is_finished(trial.key))


def prices_of(
    plan: "Plan",
    out: Path,
    at_least: int = 2,
    within: float = math.inf,
    say: Callable[[str], object] | None = None,
) -> "dict[str, Price]":
    """Key -> price of the trials that are left, where `at_least` so many rows of them are; of those
    that are known `within` so many seconds.
    """
    from ..bench.price import known_trials, priced
    from ..bench.tried import Remembered
    from ..bench.workers.probe import Processes

    finished = _finished(plan, out)
    left = [trial for trial in plan.trials if trial.key not in finished]
    if len({(trial.variant, trial.dataset) for trial in left if not trial.skip}) < at_least:
        return {}
    said = say or _said
    probe = Remembered(Processes(within, said), within)
    return priced(left, known_trials(out), probe, plan.source, said)


def is_said(progress: str) -> Callable[[str], object]:
    """How a sentence reaches stderr under this --progress: not at all where a program reads it, or
    nobody.
    """
    return (lambda _: None) if progress in ("json", "quiet") else _said


def _said(sentence: str) -> None:
    echo(sentence, err=True)

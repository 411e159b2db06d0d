"""A tiny data set, a quick metric, and variants that behave and misbehave, all as loose plugins."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from vaezoo.bench.plan import Plan, Request, make_plan
from vaezoo.bench.records import Ingredients, Record
from vaezoo.bench.runner import Summary, run
from vaezoo.bench.trial import PROTOCOL
from vaezoo.bench.workers.probe import InProcess
from vaezoo.bench.workers.processes import Places
from vaezoo.registry import registry

TINY = '''
import torch
from vaezoo.core import Spec
from vaezoo.data.data import Card, Data
from vaezoo.hooks import Column, Metric, hookimpl


def _rows(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.bernoulli(torch.full((n, 1, 4, 4), 0.4), generator=generator)


def tiny() -> Data:
    """Coin tosses, 1×4×4."""
    card = Card("tiny", "a coin", "CC0", "none")
    spec = Spec((1, 4, 4), "bernoulli", 64, latent=2, hidden=8)
    budget = {"batch": 32, "epochs": 2}
    return Data("tiny", spec, _rows(64, 0), _rows(32, 1), _rows(32, 2), card, budget=budget)


def quick(evaluation):
    """Bound and squared error."""
    trace = evaluation.model.infer(evaluation.x)
    evaluation.settings["draws"] = 1
    evaluation.say("unseen", "this metric does not look")
    error = (trace.px.mean[0] - evaluation.x).square().mean()
    return {"bound": float(trace.log_w.mean()), "error": float(error)}


def looks(evaluation):
    """The mean of the samples, as a number of the sample table."""
    return {"brightness": float(evaluation.samples.mean())}


def breaks(evaluation):
    """A metric with a mistake in it."""
    return {"broken": [][0]}


@hookimpl
def vaezoo_datasets():
    return [tiny]


@hookimpl
def vaezoo_metrics():
    columns = (
        Column("bound", "nats", "higher"),
        Column("unseen", "nats", ""),
        Column("error", "", "lower", "reconstruction", 4),
    )
    samples = Metric("looks", (Column("brightness", "", "", "fid"),), looks)
    broken = Metric("breaks", (Column("broken", "", "lower"),), breaks)
    return [Metric("quick", columns, quick), samples, broken]
'''

VARIANT = '''
import os, sys, time
from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.hooks import hookimpl
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write


class Odd(ELBO):
    def forward(self, model, x, c, progress):
        terms = super().forward(model, x, c, progress)
        {step}
        return terms


def {name}(spec: Spec, weight: Positive = 1.0) -> VAE:
    """A variant for tests."""
    {build}
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), Odd(weight))


@hookimpl
def vaezoo_variants():
    return [{name}]
'''

Write = Callable[..., Path]
MakePlan = Callable[..., Plan]


def _write(folder: Path, name: str, step: str = "pass", build: str = "pass") -> Path:
    path = folder / f"{name}.py"
    path.write_text(VARIANT.format(name=name, step=step, build=build), encoding="utf-8")
    return path


@pytest.fixture
def write_variant(plugins: Path) -> Write:
    """`write_variant(name, step, build)`: a plugin whose variant runs `step` at every step and
    `build` when it is built.
    """
    return partial(_write, plugins)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A plugins folder with the data set `tiny`, the metric `quick` and the variants `good` and
    `other`.
    """
    return _fill(tmp_path / "plugins")


def _fill(folder: Path) -> Path:
    folder.mkdir()
    (folder / "tiny.py").write_text(TINY, encoding="utf-8")
    _write(folder, "good")
    _write(folder, "other", step="terms['loss'] = 2 * terms['loss']")
    return folder


@pytest.fixture
def plan(plugins: Path) -> MakePlan:
    """`plan("good,other", "2")`: variants × seeds on `tiny`. These plugins are asked in this
    process; a test of one that crashes gives `probe=Processes()`.
    """
    return partial(_plan, plugins)


def _plan(
    plugins: Path,
    variants: str = "good",
    seeds: object = "1",
    sets: dict | None = None,
    **more: object,
) -> Plan:
    source = Places(str(plugins), (), True)
    facts = {"metrics": ("quick",), **more}
    probe = facts.pop("probe", InProcess())
    asked = Request(variants, "tiny", seeds, sets or {}, **facts)
    return make_plan(registry.load_registry(plugins), asked, source=source, probe=probe)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    """A run that several tests read and none changes: one trial, of a model whose prior and
    encoder share weights; the likelihood and `quick`.
    """
    folder = tmp_path_factory.mktemp("measured")
    made = _plan(_fill(folder / "plugins"), "vamp", metrics=("likelihood", "quick"))
    run(made, folder / "out", jobs=1, figures=False)
    return made, folder / "out"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path, Summary]:
    """A run that several tests read and none changes: two variants, two seeds, two samplers, and a
    metric that fails.
    """
    folder = tmp_path_factory.mktemp("finished")
    metrics = ("quick", "looks", "breaks")
    made = _plan(
        _fill(folder / "plugins"), "good,other", "2", metrics=metrics, samplers="gaussian,prior"
    )
    return made, folder / "out", run(made, folder / "out", jobs=2)


def recorded(facts: dict) -> Record:
    """The record of a trial of this version's protocol, with the key of its ingredients."""
    made_of = {"protocol": PROTOCOL} | facts["ingredients"]
    key = Ingredients.from_json(made_of).key
    return Record.from_json({"best_epoch": 1} | facts | {"key": key, "ingredients": made_of})

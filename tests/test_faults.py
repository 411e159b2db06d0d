"""Faults of other libraries that no other test holds; docs/faults.md lists all of them with their
tests.
"""

import ast
import re
from pathlib import Path

import pytest
import torch

from tests.bench.conftest import recorded
from vaezoo.bench.report.rows import rows_of
from vaezoo.core import Model
from vaezoo.data.sources.digits import digits
from vaezoo.evaluation import Evaluation, evaluate, importance_log_likelihood
from vaezoo.evaluation.metrics.samples import samples
from vaezoo.losses import ELBO
from vaezoo.registry import registry
from vaezoo.seeds import seeded

from .exact import _quadrature as quadrature

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there():
    rows = [
        line
        for line in PAGE.splitlines()
        if line.startswith("| ") and not line.startswith("| fault")
    ]
    assert len(rows) >= 12
    for row in rows:
        names = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert names, row
        for file, name in names:
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
                f"{file}::{name}"
            )


def test_nll_takes_its_draws_from_k_and_not_from_the_batch():
    """With one draw the mean over many rows is the ELBO, with many it is log p(x), whatever the
    number of rows.
    """
    model, x = quadrature.tiny()
    exact = quadrature.log_p(model, x).mean()
    with torch.no_grad(), seeded("nll"):
        one = importance_log_likelihood(model, x.repeat(2000, 1), k=1).mean()
        elbo = (model.infer(x, k=8000).log_w).mean()
        many = importance_log_likelihood(model, x, k=20_000).mean()
    assert abs(one - elbo) < 0.1
    assert abs(many - exact) < 0.02
    assert exact - elbo > 0.3


def test_nll_is_minus_the_log_likelihood():
    data = digits()
    with seeded("weights"):
        model = registry.load_registry().variants["vae"](data.spec)
    measured = evaluate(
        model, data, metrics=[registry.load_registry().metrics["likelihood"]], importance_samples=20
    )
    # 64 bits: -log p(x) of an untrained model is near 64 log 2 = 44 nats
    assert 30 < measured["nll"] < 64
    assert -measured["elbo"] >= measured["nll"]


def test_the_normal_likelihood_learns_the_scale_of_its_data():
    from vaezoo.core import Spec
    from vaezoo.likelihoods import head

    likelihood = head(Spec((1, 4, 4), "normal")).double()
    x = 0.5 + 0.07 * torch.randn(2000, 1, 4, 4).double()
    optimiser = torch.optim.Adam(likelihood.parameters(), 0.05)
    for _ in range(300):
        optimiser.zero_grad()
        (-likelihood(torch.full((1, 2000, 1, 4, 4), 0.5).double()).log_prob(x).mean()).backward()
        optimiser.step()
    assert likelihood.log_scale.exp().item() == pytest.approx(
        (x - 0.5).square().mean().sqrt().item(), rel=1e-3
    )


def trial(seed: int, key: str, value: float) -> dict:
    ingredients = {
        "seed": seed,
        "plugin": {"distribution": "", "version": "", "module": "m", "source_hash": ""},
        "name": "vae", "spec": {"likelihood": "bernoulli"}, "budget": {},
        "hyperparameters": {}, "data": {"hashes": {}},
    }  # fmt: skip
    return {
        "key": key, "variant": "vae", "dataset": "digits", "status": "done",
        "metrics": {"elbo": value}, "ingredients": ingredients,
    }  # fmt: skip


def test_an_interval_is_over_seeds_and_one_seed_has_none():
    once, again, other = trial(0, "a", -18.0), trial(0, "b", -18.5), trial(1, "c", -19.0)
    (row,) = rows_of([recorded(one) for one in [once, again]])
    found = row.interval("elbo")
    assert found.n == 1
    assert not found.ci95 > 0
    (row,) = rows_of([recorded(one) for one in [once, again, other]])
    assert row.interval("elbo").n == 2


class Copies(Model):
    """Its samples are the rows that it was given."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__(ELBO())
        self.x = torch.nn.Parameter(x, requires_grad=False)

    def infer(self, x, c=None, k=1):
        raise NotImplementedError

    def sample(self, n, c=None, mean=False):
        return self.x[:n]


def test_samples_are_scored_against_the_test_split(tmp_path: Path):
    data = digits()
    of = lambda x: samples(Evaluation(Copies(x), data, cache=tmp_path))  # noqa: E731
    scores = {"train": of(data.train), "test": of(data.test)}
    assert scores["test"]["fid"] < 1e-6
    assert scores["train"]["fid"] > 0.01
    assert scores["test"]["precision"] == scores["test"]["coverage"] == 1.0

"""A density is one: over all binary x the probabilities of every registered variant that claims a
bound sum to 1.

p(x) is estimated by the importance weights that every table uses, so a term that is missing or
doubled in any posterior, prior or likelihood, or in how they are put together, shows here. A new
variant adds no test.
"""

import math

import pytest
import torch
from torch import Tensor

from vaezoo.core import Model, Spec, Unsupported
from vaezoo.registry import registry
from vaezoo.seeds import seeded

VECTOR = Spec((4,), n_train=16, latent=2, hidden=6, classes=2)
# for those that read rows in time
IMAGE = Spec((1, 4, 1), n_train=16, latent=2, hidden=6, classes=2)
# a rate that is asked for makes q narrower than p(z|x), and importance weights of a narrow q have a
# long tail
WIDE = {
    "annealed": {"gamma": 1.0, "capacity": 0.1},
    "delta": {"delta": 0.05},
    "joint": {"gamma": 1.0, "continuous": 0.1, "discrete": 0.1},
}
ALL = [v for name, v in registry.load_registry().variants.items() if name != "mix"]


def every_x(spec: Spec) -> Tensor:
    """(16, *shape)."""
    return (torch.arange(16)[:, None] >> torch.arange(4) & 1).double().unflatten(1, spec.shape)


def built(name: str) -> tuple[Model, Spec]:
    """The variant on four bits; the test is skipped where it has no density on them, and gives the
    reason.
    """
    reason = ""
    for spec in (VECTOR, IMAGE):
        try:
            with seeded("weights", name):
                model = registry.load_registry().variants[name](spec, **WIDE.get(name, {})).double()
        except Unsupported as why:
            reason = str(why)
            continue
        if model.no_density:
            pytest.skip(model.no_density)
        return model, spec
    pytest.skip(reason)


def with_a_density() -> list:
    """The names, marked with what their case proves."""
    cases = []
    for variant in ALL:
        model = next((m for spec in (VECTOR, IMAGE) if (m := tried(variant, spec))), None)
        if model and not model.no_density:
            claim = "the probabilities of all x sum to 1"
            cases.append(
                pytest.param(variant.name, marks=pytest.mark.certifies(variant.name, claim=claim))
            )
    return cases


def tried(variant, spec: Spec) -> Model | None:
    try:
        return variant(spec)
    except Unsupported:
        return None


@torch.no_grad()
def sums(model: Model, x: Tensor, c: Tensor, draws: int) -> Tensor:
    """Σ_x p̂(x), (10,): each from draws of its own."""
    with seeded("draws", draws):
        return torch.stack([model.infer(x, c, draws).log_w.exp().mean(0).sum() for _ in range(10)])


@pytest.mark.parametrize("name", with_a_density())
def test_probabilities_of_all_x_sum_to_one(name: str):
    """The standard error of the sum is that of 10 groups of 300 draws where they make it less than
    0.005, else of 10 groups of 1,000, which make it less than 0.05; z-score below 5.
    """
    model, spec = built(name)
    x = every_x(spec)
    with seeded("train", name):  # a little, so that posteriors leave the prior
        optimiser = torch.optim.Adam(model.parameters(), 0.03)
        for _ in range(10):
            c = torch.eye(2).double()[torch.randint(2, (16,))]
            optimiser.zero_grad()
            model(x, c, 1.0)["loss"].backward()
            optimiser.step()
        model.eval().fit_prior(x, c)
    c = torch.eye(2).double()[:1].expand(16, 2)
    groups = sums(model, x, c, 300)
    if groups.std() / math.sqrt(10) >= 0.005:
        groups = sums(model, x, c, 1000)
    error = groups.std() / math.sqrt(10)
    assert error < 0.05
    assert abs(groups.mean() - 1) < 5 * error + 1e-6

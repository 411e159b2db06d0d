"""The rate of each latent, on hierarchies and where there is one alone."""

from dataclasses import replace

import pytest

from vaezoo.core import Unsupported
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics.layers import layers
from vaezoo.evaluation.metrics.likelihood import likelihood
from vaezoo.registry.registry import load_registry
from vaezoo.seeds import seeded

from .conftest import digits


def evaluation(name: str, **options) -> Evaluation:
    data = digits()
    spec = replace(data.spec, hidden=8, latent=2)
    with seeded(name):
        model = load_registry().variants[name](spec, **options)
    return Evaluation(model.eval(), data, seed=0)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [("ladder", {"depth": 3}, 3), ("two_level", {}, 2), ("biva", {"depth": 3}, 5)],
)
def test_rates_of_layers_add_up_to_kl(name, options, count):
    found = evaluation(name, **options)
    rates = layers(found)
    assert list(rates) == [f"kl_{i}" for i in range(1, count + 1)]
    assert sum(rates.values()) == pytest.approx(likelihood(found)["kl"], rel=0.1, abs=0.05)
    assert "latents" in found.reasons[f"kl_{count + 1}"]


def test_one_latent_has_no_layers():
    with pytest.raises(Unsupported, match="one latent"):
        layers(evaluation("vae"))
    with pytest.raises(Unsupported, match="deterministic"):
        layers(evaluation("ae"))

"""The test that `vaezoo new` writes beside a plugin's first file, by its kind.

"newcomer" stands for the name.
"""

CONTRACT = '''"""newcomer keeps the contract of every variant."""

from pathlib import Path

from vaezoo.testing import contract

test_contract = contract("newcomer", plugins_dir=Path(__file__).with_name("newcomer.py"))
'''

METRIC = '''"""newcomer is a number of any model."""

import math

import vaezoo
from newcomer import measure
from vaezoo.evaluation.context import Evaluation


def test_newcomer_is_a_number() -> None:
    data = vaezoo.dataset("digits")
    model = vaezoo.variants()["vae"](data.spec).eval()
    assert math.isfinite(measure(Evaluation(model, data, 0))["newcomer"])
'''

DATASET = '''"""newcomer is sound, and the same every time."""

from newcomer import newcomer


def test_newcomer_is_sound_and_the_same_every_time() -> None:
    data = newcomer()
    data.must_be_sound("train", "validation", "test")
    assert newcomer().hashes == data.hashes
'''

NETWORK = '''"""A VAE trains with newcomer."""

import math
from dataclasses import replace
from pathlib import Path

import vaezoo


def test_a_vae_trains_with_newcomer() -> None:
    variants = vaezoo.variants(Path(__file__).with_name("newcomer.py"))
    data = vaezoo.dataset("digits")
    data = replace(data, spec=replace(data.spec, network="newcomer"))
    history = vaezoo.fit(variants["vae"](data.spec), data, epochs=1)
    assert math.isfinite(history.rows[-1]["validation_loss"])
'''

LIKELIHOOD = '''"""newcomer is a density."""

from pathlib import Path

import torch

import vaezoo
from vaezoo.core import Spec
from vaezoo.likelihoods import head


def test_newcomer_integrates_to_one() -> None:
    vaezoo.variants(Path(__file__).with_name("newcomer.py"))  # which makes its name known
    px = head(Spec((1,), "newcomer")).each(torch.zeros(1, 1, 1, dtype=torch.double))
    x = torch.linspace(-40, 40, 80_001, dtype=torch.double)
    density = px.log_prob(x[:, None, None, None]).exp().flatten()
    assert abs(float(torch.trapezoid(density, x)) - 1) < 1e-6
'''

FIGURE = '''"""newcomer draws where there is something to draw."""

from types import SimpleNamespace

from newcomer import newcomer


def test_newcomer_draws_where_there_is_something_to_draw() -> None:
    row = SimpleNamespace(name="vae", interval=lambda column: SimpleNamespace(mean=2.0))
    assert newcomer(SimpleNamespace(rows=[row])) is not None
    assert newcomer(SimpleNamespace(rows=[])) is None
'''

TESTS = {
    "variant": CONTRACT,
    "prior": CONTRACT,
    "loss": CONTRACT,
    "likelihood": LIKELIHOOD,
    "network": NETWORK,
    "dataset": DATASET,
    "metric": METRIC,
    "figure": FIGURE,
}

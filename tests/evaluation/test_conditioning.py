"""Which models read the label: in inference, in samples."""

import pytest
import torch

from vaezoo.core import Spec
from vaezoo.evaluation.conditioning import infers_by_label, samples_by_label
from vaezoo.registry import registry
from vaezoo.seeds import seeded


@pytest.mark.parametrize(
    ("name", "infers", "samples"),
    [("cvae", True, True), ("m2", False, True), ("vae", False, False), ("vrnn", False, False)],
)
def test_who_reads_the_label(name, infers, samples):
    spec = Spec((1, 8, 8), n_train=100, classes=3, latent=2, hidden=8)
    with seeded("weights"):
        model = registry.load_registry().variants[name](spec).eval()
        x = torch.bernoulli(torch.full((6, 1, 8, 8), 0.4))
    with torch.no_grad():
        assert infers_by_label(model, x, torch.eye(3).repeat(2, 1)) == infers
        assert samples_by_label(model, 3) == samples


def test_nothing_can_be_told_where_there_is_one_class():
    spec = Spec((1, 8, 8), classes=1, latent=2, hidden=8)
    assert not samples_by_label(registry.load_registry().variants["cvae"](spec), 1)

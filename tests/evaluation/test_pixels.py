"""Samples of images are compared as pixels are kept: within the values that pixels have."""

from dataclasses import replace

import pytest
import torch

from vaezoo.core import Spec, Unsupported
from vaezoo.data.data import Card, Data
from vaezoo.evaluation.context import Evaluation
from vaezoo.evaluation.metrics.samples import samples
from vaezoo.registry import registry

CARD = Card("made up", "none", "none", "none")


def made(shape, likelihood="normal"):
    """Values between 0.2 and 0.7 but for one training entry of 0 and one of 0.9."""
    g = torch.Generator().manual_seed(0)
    spec = Spec(shape, likelihood, n_train=300, latent=2, hidden=8)
    train, validation, test = (
        0.2 + 0.5 * torch.rand(n, *shape, generator=g) for n in (300, 50, 60)
    )
    train.view(-1)[:2] = torch.tensor([0.0, 0.9])
    return Data("made up", spec, train, validation, test, CARD)


class FarOut:
    """A model of which every tenth mean is far from any pixel."""

    def __init__(self, test, far):
        self.test = test.clone()
        self.test[::10] = far

    def sample(self, n, c, mean):
        assert mean
        return self.test[:n]


def evaluation_of(data, far):
    found = Evaluation(registry.load_registry().variants["vae"](data.spec), data)
    return replace(found, model=FarOut(data.test, far))


@pytest.mark.parametrize(("far", "kept"), [(300.0, 0.9), (-300.0, 0.0)])
def test_means_of_images_are_clipped_to_the_range_of_the_training_pixels(far, kept):
    data = made((1, 8, 8))
    evaluation = evaluation_of(data, far)
    drawn = evaluation.samples
    assert drawn[::10].eq(kept).all()
    assert torch.equal(drawn[1:10], data.test[1:10])
    assert "clipped" in evaluation.settings["samples_are"]


@pytest.mark.parametrize("far", [float("nan"), float("inf")])
def test_a_mean_that_is_no_number_or_infinite_is_refused(far):
    evaluation = evaluation_of(made((1, 8, 8)), far)
    assert evaluation.samples[::10].isnan().all()
    with pytest.raises(Unsupported, match="not finite"):
        samples(evaluation)


def test_what_is_no_image_has_no_pixels():
    drawn = evaluation_of(made((12,)), 300.0)
    assert drawn.samples[::10].eq(300).all()
    assert drawn.settings["samples_are"] == "means of p(x|z)"


def test_codes_far_out_no_longer_decide_the_distance(tmp_path):
    """A tenth of the pictures white: as far as white pictures are, however far they were."""
    data = made((1, 8, 8))
    found = [replace(evaluation_of(data, far), cache=tmp_path) for far in (0.9, 300.0)]
    one, other = (samples(evaluation)["fid"] for evaluation in found)
    assert one == other > 0

"""PixelVAE: p(x|z) sums to one, a pixel reads those before it alone, and draws follow it."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.pixelvae import PixelCNN, pixelvae

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.seeds import seeded

from . import _bounds as bounds, _quadrature as quadrature
from ._trained import descended

TINY = Spec((1, 2, 3), latent=2, hidden=8)
COLOURS = Spec((2, 2, 2), latent=2, hidden=8)
LEVELS = Spec((1, 2, 2), "categorical", latent=2, hidden=8, levels=3)
SPECS = pytest.mark.parametrize("spec", [TINY, COLOURS, LEVELS, Spec((6,), latent=2, hidden=8)])


def decoder(spec: Spec) -> PixelCNN:
    """With spread weights, so that pixels say much of each other."""
    with seeded("pixelcnn"):
        made = PixelCNN(spec, width=6, layers=2).double()
        with torch.no_grad():
            for p in made.parameters():
                p.mul_(3)
    return made.eval()


def every_x(spec: Spec) -> Tensor:
    """(M, *shape)."""
    m = spec.levels if spec.likelihood == "categorical" else 2
    values = torch.linspace(0, 1, m).double()
    rows = itertools.product(range(m), repeat=spec.size)
    return values[torch.tensor(list(rows))].reshape(-1, *spec.shape)


@pytest.mark.certifies("pixelvae", claim="p(x|z) of all x sums to 1, by enumeration")
@SPECS
def test_the_probabilities_of_all_x_sum_to_one(spec):
    net = decoder(spec)
    x = every_x(spec)
    with torch.no_grad(), seeded("z"):
        for z in torch.randn(3, 2).double():
            log_p = net(z.expand(1, len(x), 2)).log_prob(x)
            torch.testing.assert_close(log_p.logsumexp(1), torch.zeros(1).double())


@pytest.mark.certifies("pixelvae", claim="no entry reads itself or a later one, by autograd")
@SPECS
def test_an_entry_depends_on_earlier_ones_alone(spec):
    net = decoder(spec)
    colours = net.pixels[0]
    of_z = net.features(torch.randn(1, 1, 2).double(), None)[0]

    def raw(x: Tensor) -> Tensor:
        """In the order of writing: pixels, then colours, (C·H·W,)."""
        found = net.raster(x.reshape(1, *net.pixels), of_z)
        return found.unflatten(1, (colours, -1)).sum(2)[0].movedim(0, -1).flatten()

    x = torch.rand(net.pixels).double()
    slopes = torch.autograd.functional.jacobian(raw, x)  # (C·H·W, C, H, W)
    slopes = slopes.movedim(1, -1).flatten(1)
    assert (slopes.triu() == 0).all()
    # of the pixel that is written last, all before it that lie within the first kernel count
    assert (slopes[-1].abs() > 0).sum() >= min(spec.size - 1, 3)


@pytest.mark.certifies("pixelvae", claim="draws have the frequencies of p(x|z), by enumeration")
@pytest.mark.parametrize(
    "spec", [replace(TINY, shape=(1, 2, 2)), Spec((2, 1, 2), latent=2, hidden=8)]
)
def test_draws_follow_the_probabilities(spec):
    """n = 20,000 draws of 16 images: χ² with 15 degrees of freedom, below its 1 - 1e-6 quantile."""
    net = decoder(spec)
    x = every_x(spec)
    n = 20_000
    with torch.no_grad(), seeded("draws"):
        log_p = net(torch.zeros(1, 16, 2).double()).log_prob(x)[0]
        px = net(torch.zeros(1, n, 2).double())
        drawn = px.sample()[0].flatten(1)
    expected = n * log_p.exp()
    index = (drawn * 2 ** torch.arange(3, -1, -1)).sum(1).long()
    counts = torch.bincount(index, minlength=16)
    chi = ((counts - expected).square() / expected).sum()
    assert chi < 56.5


@pytest.mark.certifies("pixelvae", claim="the mean of p(x|z) is unbiased, by enumeration")
def test_the_mean_is_right_in_the_mean():
    """n = 20,000, z-score below 5."""
    net = decoder(TINY)
    x = every_x(TINY)
    z = torch.ones(1, 1, 2).double()
    n = 20_000
    with torch.no_grad(), seeded("means"):
        chances = net(z.expand(1, len(x), 2)).log_prob(x)[0].exp()
        expected = torch.einsum("n,n...->...", chances, x)
        found = net(z.expand(1, n, 2)).mean[0]
    error = found.std(0) / math.sqrt(n) + 1e-12
    assert ((found.mean(0) - expected).abs() < 5 * error).all()


def test_a_cut_of_the_rows_above_changes_no_number():
    """Six rows, of which a pixel's numbers depend on the last `reach` and its own."""
    net = decoder(Spec((1, 7, 2), latent=2, hidden=8))
    x = torch.rand(3, 1, 7, 2).double()
    of_z = torch.rand(3, 6, 7, 2).double()
    whole = net.raster(x, of_z)
    for row in range(7):
        rows = slice(max(0, row - net.raster.reach), row + 1)
        part = net.raster(x[:, :, rows], of_z[:, :, rows])
        torch.testing.assert_close(part[:, :, -1], whole[:, :, row])


@pytest.mark.certifies(
    "pixelvae", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to"
)
def test_bounds_lie_below_quadrature_and_meet_it():
    """n = 20,000 draws, z-score below 5."""
    with seeded("bounds"):
        model: VAE = pixelvae(TINY, width=4).double()
        x = torch.rand(4, *TINY.shape).round().double()
        descended(model, x.repeat(8, 1, 1, 1), 30)
        n = 20_000
        with torch.no_grad():
            exact = quadrature.log_p(model.eval(), x, points=61)
            log_w = model.infer(x, k=n).log_w
    bounds.meet(log_w, exact)


def test_what_has_no_pixels_before_each_is_refused():
    with pytest.raises(Unsupported, match="a sequence has none"):
        pixelvae(Spec((7, 5)))
    with pytest.raises(Unsupported, match="has gaps"):
        pixelvae(Spec((6,), has_gaps=True))
    with pytest.raises(Unsupported, match="choose a larger one"):
        pixelvae(Spec((4, 8, 8)), width=3)

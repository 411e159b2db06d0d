"""MADE as a decoder: p(x|z) sums to one, an entry reads those before it alone, draws follow it."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.made_decoder import MADE, made_decoder

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.likelihoods import numbers_of
from vaezoo.seeds import seeded

from . import _quadrature as quadrature

BITS = Spec((6,), latent=2, hidden=8)
IMAGE = Spec((1, 2, 3), latent=2, hidden=4)  # fewer hidden units than entries
LEVELS = Spec((4,), "categorical", latent=2, hidden=8, levels=3)
SPECS = pytest.mark.parametrize("spec", [BITS, IMAGE, LEVELS])
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def decoder(spec: Spec, dtype: torch.dtype = torch.float64) -> MADE:
    """With spread weights, so that entries say much of each other."""
    with seeded("made"):
        made = MADE(spec).to(dtype)
        with torch.no_grad():
            for p in made.parameters():
                p.copy_(torch.randn_like(p))
    return made.eval()


def every_x(spec: Spec, dtype: torch.dtype = torch.float64) -> Tensor:
    """(M, *shape)."""
    m = spec.levels if spec.likelihood == "categorical" else 2
    values = torch.linspace(0, 1, m, dtype=dtype)
    rows = itertools.product(range(m), repeat=spec.size)
    return values[torch.tensor(list(rows))].reshape(-1, *spec.shape)


@pytest.mark.certifies("made_decoder", claim="p(x|z) of all x sums to 1, by enumeration")
@SPECS
@DTYPES
def test_the_probabilities_of_all_x_sum_to_one(spec, dtype):
    net = decoder(spec, dtype)
    x = every_x(spec, dtype)
    with torch.no_grad(), seeded("z"):
        for z in torch.randn(3, 2, dtype=dtype):
            log_p = net(z.expand(1, len(x), 2)).log_prob(x)
            torch.testing.assert_close(log_p.logsumexp(1), torch.zeros(1, dtype=dtype))


@pytest.mark.certifies("made_decoder", claim="no entry reads itself or a later one, by autograd")
@SPECS
def test_an_entry_depends_on_all_earlier_ones_and_no_other(spec):
    net = decoder(spec)
    z = torch.randn(2).double()
    slopes = torch.autograd.functional.jacobian(
        lambda x: net.masked(x, z).sum(-1), torch.rand(spec.size).double()
    )
    reads = slopes != 0
    assert torch.equal(reads, torch.ones(spec.size, spec.size).tril(-1).bool())
    assert net.masked.shape == (spec.size, numbers_of(spec))


@pytest.mark.certifies("made_decoder", claim="draws have the frequencies of p(x|z), by enumeration")
def test_draws_follow_the_probabilities():
    """n = 20,000 draws of 16 x: χ² with 15 degrees of freedom, below its 1 - 1e-6 quantile."""
    spec = Spec((4,), latent=2, hidden=8)
    net = decoder(spec)
    x = every_x(spec)
    n = 20_000
    with torch.no_grad(), seeded("draws"):
        log_p = net(torch.zeros(1, 16, 2).double()).log_prob(x)[0]
        drawn = net(torch.zeros(1, n, 2).double()).sample()[0]
    expected = n * log_p.exp()
    index = (drawn * 2 ** torch.arange(3, -1, -1)).sum(1).long()
    counts = torch.bincount(index, minlength=16)
    assert ((counts - expected).square() / expected).sum() < 56.5


@pytest.mark.certifies("made_decoder", claim="the mean of p(x|z) is unbiased, by enumeration")
@SPECS
def test_the_mean_is_right_in_the_mean(spec):
    """n = 20,000, z-score below 5."""
    net = decoder(spec)
    x = every_x(spec)
    z = torch.ones(1, 1, 2).double()
    n = 20_000
    with torch.no_grad(), seeded("means"):
        chances = net(z.expand(1, len(x), 2)).log_prob(x)[0].exp()
        expected = torch.einsum("n,n...->...", chances, x)
        found = net(z.expand(1, n, 2)).mean[0]
    error = found.std(0) / math.sqrt(n) + 1e-12
    assert ((found.mean(0) - expected).abs() < 5 * error).all()


@SPECS
def test_entry_by_entry_gives_the_numbers_of_one_pass(spec):
    """The mean along a draw, against the mean of every entry given that draw."""
    net = decoder(spec)
    with torch.no_grad(), seeded("draw"):
        px = net(torch.randn(2, 3, 2).double())
        x, mean = px.drawn(torch.Size([5, 2, 3]))
        one_pass = px.likelihood(px.raw(x, x.shape[:3])).mean
    torch.testing.assert_close(mean, one_pass)


def test_it_starts_as_the_decoder_that_reads_z_alone():
    net = MADE(BITS)
    z = torch.randn(1, 7, 2)
    x = torch.rand(7, 6).round()
    plain = net.likelihood(net.raw(z)).log_prob(x)
    torch.testing.assert_close(net(z).log_prob(x), plain)


@pytest.mark.certifies(
    "made_decoder", claim="ELBO ≤ IWAE ≤ log p(x) of quadrature, which IWAE comes to"
)
@DTYPES
def test_bounds_lie_below_quadrature_and_meet_it(dtype):
    """After training; n = 20,000 draws, z-score below 5."""
    with seeded("bounds"):
        model: VAE = made_decoder(BITS).to(dtype)
        x = torch.rand(4, *BITS.shape).round().to(dtype)
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for _ in range(30):
            optimiser.zero_grad()
            model(x.repeat(8, 1))["loss"].backward()
            optimiser.step()
        n = 20_000
        with torch.no_grad():
            exact = quadrature.log_p(model.eval(), x, points=61)
            log_w = model.infer(x, k=n).log_w
    error = log_w.std(0) / math.sqrt(n)
    iwae = (log_w.unflatten(0, (-1, 10)).logsumexp(1) - math.log(10)).mean(0)
    assert (log_w.mean(0) <= iwae).all()
    assert (iwae <= exact + 5 * error).all()
    weight = (log_w - exact).exp()
    assert ((weight.mean(0) - 1).abs() < 5 * weight.std(0) / math.sqrt(n)).all()


def test_what_has_no_entries_before_each_is_refused():
    with pytest.raises(Unsupported, match="has steps, such as vrnn"):
        made_decoder(Spec((7, 5)))
    with pytest.raises(Unsupported, match="has gaps"):
        made_decoder(Spec((6,), has_gaps=True))

"""Two levels of codes: probabilities and bounds by enumeration, and which level reads which."""

import itertools

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.vq_ema2 import Books, vq_ema2

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.seeds import seeded

from ._trained import descended, once

SPEC = Spec((5,), latent=6, hidden=8)
BOTH = pytest.mark.parametrize("steps", [0, 100])


def data() -> Tensor:
    return torch.rand(12, 5, generator=torch.Generator().manual_seed(0)).round().double()


@once
def made(steps: int) -> VAE:
    with seeded("vq_ema2"):
        model = vq_ema2(SPEC, size=4).double()
        descended(model, data(), steps)
        if steps:
            model.eval().fit_prior(data())
    return model.eval()


def all_codes(model: VAE) -> Tensor:
    """(N, G, W)."""
    slots, size = model.prior.log_chance.shape
    index = torch.tensor(list(itertools.product(range(size), repeat=slots)))
    return model.prior().at(index)


@pytest.mark.certifies("vq_ema2", claim="the probabilities of all codes sum to 1")
@BOTH
def test_probabilities_of_all_codes_sum_to_one(steps):
    model = made(steps)
    total = model.prior().log_prob(all_codes(model)).logsumexp(0)
    assert total.item() == pytest.approx(0.0, abs=1e-6)  # chances are counted in float32
    assert model.prior.log_chance.std() > 0 or not steps


@pytest.mark.certifies(
    "vq_ema2", claim="log p(x|z) + log p(z) of its code ≤ log p(x), by enumeration of all codes"
)
@BOTH
def test_the_bound_of_the_code_is_below_the_sum_over_all_codes(steps):
    model, x = made(steps), data()
    with torch.no_grad():
        z = all_codes(model)[:, None].expand(-1, len(x), -1, -1)
        joint = model.decoder(z).log_prob(x) + model.prior().log_prob(z)
        trace = model.infer(x)
        bound = (trace.log_px + trace.latents[0].log_p)[0]
    assert (bound <= joint.logsumexp(0) + 1e-9).all()
    torch.testing.assert_close((joint - bound).abs().min(0).values, torch.zeros(12).double())


@pytest.mark.certifies("vq_ema2", claim="the lower level's code reads the upper level's vectors")
def test_the_lower_level_reads_the_upper_ones_vectors():
    """The upper book moved: the lower level's e moves, and the upper level's own does not."""
    model, x = made(100), data()
    before = model.encoder(x)
    model.prior.books[0] += 1.0
    after = model.encoder(x)
    assert torch.equal(before.e[:, :1], after.e[:, :1])
    assert (before.e[:, 1:] - after.e[:, 1:]).abs().min() > 1e-6


@pytest.mark.certifies("vq_ema2", claim="each book is the running mean of what its level rounds")
def test_books_follow_the_running_means_of_their_level():
    """Step by step with Python numbers."""
    with seeded(1):
        prior = Books(1, 2, 3, 1, 0.9, 0.0).double()
        counts = [[1.0] * 3 for _ in range(2)]
        sums = prior.sums.squeeze(-1).tolist()
        for _ in range(10):
            es = [torch.randn(6, slots, 1).double() for slots in (1, 2)]
            indices = [torch.randint(3, (6, slots)) for slots in (1, 2)]
            prior.learn(es, indices)
            for level, (e, index) in enumerate(zip(es, indices, strict=True)):
                pairs = list(zip(e.flatten().tolist(), index.flatten().tolist(), strict=True))
                for m in range(3):
                    mine = [value for value, i in pairs if i == m]
                    counts[level][m] = 0.9 * counts[level][m] + 0.1 * len(mine)
                    sums[level][m] = 0.9 * sums[level][m] + 0.1 * sum(mine)
    expected = torch.tensor(sums).double() / torch.tensor(counts).double()
    torch.testing.assert_close(prior.books.squeeze(-1), expected)


@pytest.mark.certifies("vq_ema2", claim="the gradient passes the rounding unchanged")
def test_the_gradient_passes_the_rounding_unchanged():
    model, x = made(0), data()
    q = model.encoder(x)
    (found,) = torch.autograd.grad(q.z.pow(3).sum(), q.e)
    expected = 3 * q.z.detach().square()
    torch.testing.assert_close(found[:, 1:], expected[:, 1:])


def test_one_slice_alone_has_no_two_levels():
    with pytest.raises(Unsupported, match="upper level"):
        vq_ema2(Spec((5,), latent=2))
    with pytest.raises(Unsupported, match="upper level"):
        vq_ema2(SPEC, width=4)

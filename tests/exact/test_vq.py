"""Vector quantisation: straight-through gradients, running means, restarts, and the prior over
codes.
"""

import math

import pytest
import torch
from vaezoo_plugins.vq import Codebook, fsq, vq

from vaezoo.codebooks import Entries, Rounded, perplexity
from vaezoo.core import Spec, Unsupported

SPEC = Spec((6,), latent=4, hidden=16)


@pytest.mark.certifies("vq", "fsq", claim="the gradient passes the rounding unchanged")
def test_gradient_passes_the_rounding_as_if_it_were_not_there():
    for build in (vq, fsq):
        q = build(SPEC).double().eval().encoder(torch.randn(3, 6).double())
        z, _ = q.draw((1,))
        torch.testing.assert_close(z[0], q.rounded, atol=1e-12, rtol=0)
        at_e = torch.autograd.grad(z.pow(3).sum(), q.e)[0]
        code = q.rounded.detach().requires_grad_()
        at_code = torch.autograd.grad(code.pow(3).sum(), code)[0]
        torch.testing.assert_close(at_e, at_code, atol=1e-12, rtol=0)


def test_each_slice_goes_to_the_nearest_vector():
    torch.manual_seed(0)
    model = vq(SPEC, size=7).eval()
    q = model.encoder(torch.rand(9, 6))
    index = q.index.unflatten(0, (9, 2))
    for row in range(9):
        for slot in range(2):
            distances = [(q.e[row, slot] - v).square().sum().item() for v in model.prior.vectors]
            assert index[row, slot] == distances.index(min(distances))


@pytest.mark.certifies("vq", claim="the codebook is the running mean of what is rounded to it")
def test_codebook_follows_the_running_mean_of_what_is_rounded_to_it():
    """N ← γN + (1-γ)n and m ← γm + (1-γ)Σe, step by step with Python numbers (van den Oord 2017,
    appendix A.1).
    """
    torch.manual_seed(0)
    book = Codebook(slots=1, size=3, width=1, decay=0.9, dead=0.0).double()
    counts, sums = [1.0] * 3, book.sums.flatten().tolist()
    for _ in range(20):
        e = torch.randn(8, 1, 1, dtype=torch.float64)
        index = torch.randint(0, 3, (8, 1))
        book.update(e, index)
        for m in range(3):
            mine = [
                v
                for v, i in zip(e.flatten().tolist(), index.flatten().tolist(), strict=True)
                if i == m
            ]
            counts[m] = 0.9 * counts[m] + 0.1 * len(mine)
            sums[m] = 0.9 * sums[m] + 0.1 * sum(mine)
    means = [s / n for s, n in zip(sums, counts, strict=True)]
    assert book.vectors.flatten().tolist() == pytest.approx(means, abs=1e-6)


def test_dead_vectors_start_anew_at_something_the_encoder_gave():
    torch.manual_seed(0)
    book = Codebook(slots=1, size=3, width=2, decay=0.5, dead=0.1)
    e, index = 10 + torch.randn(6, 1, 2), torch.zeros(6, 1, dtype=torch.long)
    for _ in range(8):  # codes 1 and 2 are never used: their counts halve until they are dead
        book.update(e, index)
    given = {tuple(row) for row in e.flatten(0, 1).tolist()}
    assert all((v > 5).all() for v in book.vectors)
    assert {tuple(v) for v in book.vectors[1:].tolist()} <= given


def test_codebook_rests_in_evaluation():
    torch.manual_seed(0)
    model = vq(SPEC).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model(torch.rand(9, 6))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_prior_is_uniform_until_fitted_and_then_counts():
    torch.manual_seed(0)
    model = vq(SPEC, size=4)
    codes = model.prior.vectors[torch.tensor([[0, 1], [0, 1], [2, 1]])]
    torch.testing.assert_close(model.prior().log_prob(codes), torch.full((3,), -2 * math.log(4)))
    model.prior.fit(codes)
    expected = [3 / 7 * 4 / 7, 3 / 7 * 4 / 7, 2 / 7 * 4 / 7]  # every count is raised by one
    torch.testing.assert_close(model.prior().log_prob(codes).exp(), torch.tensor(expected))
    tables = torch.arange(4.0)[:, None].expand(2, 4, 2)
    drawn = Entries(tables, model.prior.log_frequency).sample((20_000,))[:, 0, 0]
    shares = torch.bincount(drawn.long(), minlength=4) / 20_000
    torch.testing.assert_close(
        shares, model.prior.log_frequency[0].exp(), atol=4.5 * (0.25 / 20_000) ** 0.5, rtol=0
    )


def test_perplexity_counts_the_codes_in_use():
    assert perplexity(torch.tensor([0, 1, 2, 3]), 8) == pytest.approx(4.0)
    assert perplexity(torch.zeros(10, dtype=torch.long), 8) == pytest.approx(1.0)


def test_commitment_pulls_the_encoder_and_not_the_codebook():
    e = torch.randn(3, 2, 2, requires_grad=True)
    rounded = torch.randn(3, 2, 2, requires_grad=True)
    q = Rounded(e, 2, e, rounded, torch.zeros(6, dtype=torch.long), 5)
    own, other = torch.autograd.grad(q.commitment.sum(), [e, rounded], allow_unused=True)
    torch.testing.assert_close(own, 2 * (e - rounded))
    assert other is None


@pytest.mark.certifies("fsq", claim="every level is reached, and no other")
@pytest.mark.parametrize("levels", [3, 4, 5, 8])
def test_finite_scalar_quantisation_reaches_every_level_and_no_other(levels: int):
    model = fsq(SPEC, levels=levels).eval()
    model.encoder.net.forward = lambda x, c=None: x
    q = model.encoder(torch.linspace(-3, 3, 4000)[:, None].expand(-1, 4))
    reached = q.z.detach()[:, 0].unique()
    assert len(q.index.unique()) == levels
    torch.testing.assert_close(reached.unique(), model.prior.values.unique(), atol=1e-6, rtol=0)
    assert torch.equal(model.prior().index(q.z).flatten(), q.index)


def test_a_code_that_cannot_be_sliced_is_refused():
    with pytest.raises(Unsupported, match="no multiple"):
        vq(SPEC, width=3)

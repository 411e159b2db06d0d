"""Residual, lookup-free and one-matrix quantisers: codes by search, densities and bounds by
enumeration of all codes, and how many codes are in use.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from vaezoo_plugins.quantisers import (
    EntropyOfBits,
    OneMap,
    RunningMeans,
    Tables,
    entropy_of_bits,
    lfq,
    rvq,
    simvq,
)

from vaezoo.codebooks import Rounded, perplexity
from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.seeds import seeded

from ._trained import descended, once

SPEC = Spec((5,), latent=4, hidden=8)
BUILDS = {
    "rvq": lambda: rvq(SPEC, size=3, levels=2),
    "lfq": lambda: lfq(SPEC),
    "simvq": lambda: simvq(SPEC, size=5),
}
KINDS = pytest.mark.parametrize("name", list(BUILDS))
BOTH = pytest.mark.parametrize("steps", [0, 100])


def data() -> Tensor:
    return torch.rand(12, 5, generator=torch.Generator().manual_seed(0)).round().double()


@once
def made(name: str, steps: int) -> VAE:
    with seeded(name):
        model = BUILDS[name]().double()
        descended(model, data(), steps)
        if steps:
            model.eval().fit_prior(data())
    return model.eval()


def all_codes(model: VAE) -> Tensor:
    """Every code, (N, G, L, W)."""
    slots, levels, size = model.prior.log_chance.shape
    every = list(itertools.product(range(size), repeat=slots * levels))
    index = torch.tensor(every).unflatten(-1, (slots, levels))
    return model.prior().at(index).detach()


@pytest.mark.certifies("rvq", "lfq", "simvq", claim="the probabilities of all codes sum to 1")
@KINDS
@BOTH
def test_probabilities_of_all_codes_sum_to_one(name, steps):
    model = made(name, steps)
    total = model.prior().log_prob(all_codes(model)).logsumexp(0)
    assert total.item() == pytest.approx(0.0, abs=1e-6)  # chances are counted in float32
    assert model.prior.log_chance.std() > 0 or not steps


@pytest.mark.certifies(
    "rvq",
    "lfq",
    "simvq",
    claim="log p(x|z) + log p(z) of its code ≤ log p(x), by enumeration of all codes",
)
@KINDS
@BOTH
def test_the_bound_of_the_code_is_below_the_sum_over_all_codes(name, steps):
    model, x = made(name, steps), data()
    with torch.no_grad():
        z = all_codes(model)[:, None].expand(-1, len(x), -1, -1, -1)
        joint = model.decoder(z).log_prob(x) + model.prior().log_prob(z)
        trace = model.infer(x)
        bound = (trace.log_px + trace.latents[0].log_p)[0]
    assert (bound <= joint.logsumexp(0) + 1e-9).all()
    # and it is the term of one of these codes
    torch.testing.assert_close((joint - bound).abs().min(0).values, torch.zeros(12).double())
    with seeded("samples"):
        drawn = model.prior().sample((4,))
    assert (drawn[:, None] == all_codes(model)).flatten(2).all(-1).any(1).all()


@pytest.mark.certifies("rvq", claim="each vector is the nearest to what those before it leave")
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_levels_round_what_the_levels_before_leave(kind):
    with seeded(1):
        prior = RunningMeans(2, 3, 4, 2, 0.99, 0.0).to(kind)
        e = torch.randn(7, 2, 2, dtype=kind)
    entries, index = prior.round(e)
    for row, slot in itertools.product(range(7), range(2)):
        rest = e[row, slot]
        for level in range(3):
            distances = [(rest - v).square().sum().item() for v in prior.means[level]]
            found = index[row, slot, level].item()
            assert found == distances.index(min(distances))
            assert torch.equal(entries[row, slot, level], prior.means[level, found])
            rest = rest - prior.means[level, found]


@pytest.mark.certifies("rvq", claim="each codebook is the running mean of the rests rounded to it")
def test_codebooks_follow_the_running_means_of_rests():
    """Step by step with Python numbers."""
    with seeded(2):
        prior = RunningMeans(1, 2, 3, 1, 0.9, 0.0).double()
        counts = [[1.0] * 3 for _ in range(2)]
        sums = prior.sums.squeeze(-1).tolist()
        for _ in range(15):
            e = torch.randn(6, 1, 1).double()
            tables = prior.means.squeeze(-1).tolist()
            _, index = prior.round(e)
            prior.learn(e, index)
            rests = e.flatten().tolist()
            for level in range(2):
                choice = index[:, 0, level].tolist()
                for m in range(3):
                    mine = [r for r, i in zip(rests, choice, strict=True) if i == m]
                    counts[level][m] = 0.9 * counts[level][m] + 0.1 * len(mine)
                    sums[level][m] = 0.9 * sums[level][m] + 0.1 * sum(mine)
                rests = [r - tables[level][i] for r, i in zip(rests, choice, strict=True)]
    expected = torch.tensor(sums).double() / torch.tensor(counts).double()
    torch.testing.assert_close(prior.means.squeeze(-1), expected)


def test_dead_vectors_start_anew_at_a_rest_of_their_own_level():
    with seeded(3):
        prior = RunningMeans(1, 2, 3, 2, 0.5, 0.1)
        e = 10 + torch.randn(6, 1, 2)
        for _ in range(8):
            prior.learn(e, torch.zeros(6, 1, 2, dtype=torch.long))
    assert (prior.means[0, 1:] > 5).all()
    assert (prior.means[1, 1:].abs() < 5).all()


@pytest.mark.certifies("rvq", "lfq", "simvq", claim="the gradient passes the rounding unchanged")
@KINDS
def test_the_gradient_of_the_sum_is_that_of_e(name):
    model = made(name, 0)
    q = model.encoder(data())
    z, _ = q.draw((1,))
    entries = model.prior().at(model.prior().index(z[0]))
    torch.testing.assert_close(z[0], entries)
    found = torch.autograd.grad(z.sum(-2).pow(3).sum(), q.e)[0].squeeze(-2)
    torch.testing.assert_close(found, 3 * entries.sum(-2).square())


def signs_of(e: Tensor) -> Rounded:
    """e (B, D, 1), each number rounded to its sign."""
    e = e.unsqueeze(-2)
    return Rounded(e, 3, e, e.sign(), (e > 0).long().flatten(), 2)


@pytest.mark.certifies("lfq", claim="the entropies are those of the two ends, summed up")
def test_entropies_of_bits_are_the_sums_over_both_ends():
    with seeded(4):
        e = torch.randn(9, 4, 1).double()
    chances = torch.stack([-(e + 1).square(), -(e - 1).square()]).softmax(0).squeeze(-1)
    entropy = -(chances * chances.log()).sum(0)  # (9, 4)
    torch.testing.assert_close(entropy_of_bits(4 * e.squeeze(-1)), entropy)
    mean = chances.mean(1)  # (2, 4)
    expected = 0.3 * (entropy.mean(0) + (mean * mean.log()).sum(0)).sum()
    torch.testing.assert_close(EntropyOfBits(0.25, 0.3).more(signs_of(e)), expected)
    far = torch.tensor([-1e4, 0.0, 1e4])
    assert entropy_of_bits(far).tolist() == pytest.approx([0, math.log(2), 0])


@pytest.mark.certifies("lfq", claim="its entropy term evens the bits out where they are all alike")
def test_the_entropy_term_evens_the_bits_out():
    """e = a + x with all x below the border: moved so that half are above."""
    with seeded(5):
        x = torch.randn(200, 4, 1).double()
    shift = nn.Parameter(torch.full((4, 1), -2.0).double())
    optimiser = torch.optim.Adam([shift], 0.05)
    for _ in range(300):
        e = x + shift
        optimiser.zero_grad()
        EntropyOfBits(0.0, 1.0).more(signs_of(e)).backward()
        optimiser.step()
    shares = (x + shift > 0).double().mean(0)
    assert ((shares - 0.5).abs() < 0.1).all()


class Free(Tables):
    """A codebook whose vectors learn by the gradient, each for itself."""

    def __init__(self) -> None:
        super().__init__(1, 1, 32)
        self.table = nn.Parameter(0.3 * torch.randn(1, 32, 2))

    def tables(self) -> Tensor:
        return self.table


def towards(prior: Tables, e: Tensor, steps: int) -> int:
    """Codes in use after so many steps down ‖e - v‖²."""
    optimiser = torch.optim.Adam(prior.parameters(), 0.01)
    for _ in range(steps):
        entries, _ = prior.round(e)
        optimiser.zero_grad()
        (e - entries.sum(-2)).square().sum(-1).mean().backward()
        optimiser.step()
    return len(prior.round(e)[1].unique())


@pytest.mark.certifies(
    "simvq", claim="one code in use moves all vectors; more stay in use than of a free codebook"
)
def test_one_matrix_moves_all_vectors_where_free_ones_are_left_behind():
    """By one e, whose code is the only one in use; and by 500 far from where the codebooks start:
    32 vectors, those of a free codebook that are not nearest never move.
    """
    moved = {}
    used = {}
    for kind in (Free, lambda: OneMap(1, 32, 2)):
        with seeded(6):
            prior = kind()
            before = prior.tables().detach().clone()
            towards(prior, torch.tensor([[[3.0, -2.0]]]), 1)
            difference = (prior.tables() - before).abs().sum(-1) > 0
            moved[type(prior).__name__] = difference.sum().item()
            used[type(prior).__name__] = towards(prior, 4 + torch.randn(500, 1, 2), 300)
    assert moved == {"Free": 1, "OneMap": 32}
    assert used["OneMap"] > 2 * used["Free"], used


def test_perplexity_counts_the_entries_in_use_of_each_level():
    index = torch.tensor([[0, 0], [1, 0], [2, 0], [3, 0]])
    assert perplexity(index, 8).item() == pytest.approx((4 + 1) / 2)


def test_the_tables_rest_in_evaluation():
    model = made("rvq", 0)
    before = model.prior.means.clone()
    model(data())
    assert torch.equal(model.prior.means, before)


def test_a_code_that_cannot_be_sliced_is_refused():
    for build in (rvq, simvq):
        with pytest.raises(Unsupported, match="no multiple"):
            build(SPEC, width=3)


def test_nearest_entries_of_every_code_are_its_own():
    model = made("rvq", 100)
    z = all_codes(model)
    p = model.prior()
    assert torch.equal(p.at(p.index(z)), z)

"""The autoregressive prior over discrete codes: its probabilities by enumeration of all codes, and
what it learns that independent frequencies cannot.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.code_priors import Alphabet, Causal, CausalAttention, by_position

from vaezoo.core import Spec, Unsupported
from vaezoo.registry import registry
from vaezoo.samplers import decode, draw_codes
from vaezoo.seeds import seeded

SPEC = Spec((1, 8, 8), n_train=64, latent=4, hidden=16)
N = 600
QUICK = {"hidden": 16, "layers": 1, "steps": 200, "learning_rate": 1e-2}


def fitted(z: Tensor, **values: float) -> Causal:
    with seeded("causal"):
        sampler = Causal(**{**QUICK, **values})
        sampler.fit(z, 0)
    return sampler


def dependent() -> Tensor:
    """(N, 3, 2) codes of vectors: the second position copies the first, the third is its parity."""
    g = torch.Generator().manual_seed(0)
    table = torch.tensor([[0.0, 1.0], [2.0, 0.5], [-1.0, 3.0], [4.0, 4.0]])
    first = torch.randint(4, (N,), generator=g)
    return torch.stack([table[first], table[first], table[first % 2]], 1)


def every_code(alphabet: Alphabet) -> Tensor:
    ranges = [range(size) for size in alphabet.sizes.tolist()]
    return torch.tensor(list(itertools.product(*ranges)))


@pytest.mark.parametrize("steps", [1, 100])
def test_probabilities_of_all_codes_sum_to_one(steps):
    sampler = fitted(dependent(), steps=steps)
    index = every_code(sampler.alphabet)
    assert len(index) == 4 * 4 * 2  # the third position takes two of the four values
    total = sampler.net.double().log_prob(index).logsumexp(0)
    assert total.item() == pytest.approx(0.0, abs=1e-10)


def test_a_position_reads_only_those_before_it():
    with seeded(1):
        net = CausalAttention(torch.tensor([3, 2, 4]), 8, 2, 0.0).double().eval()
        index = torch.tensor([[0, 1, 2]])
        for changed in range(3):
            moved = index.clone()
            moved[0, changed] = 1 - index[0, changed].clamp_max(1)
            difference = (net(index) - net(moved)).nan_to_num().abs().amax(-1)[0]
            assert (difference[: changed + 1] == 0).all()
            assert (difference[changed + 1 :] > 0).all()


def test_what_depends_on_what_is_learned():
    """Independent frequencies have 2 log 4 + log 2 nats; the codes have log 4."""
    z = dependent()
    sampler = fitted(z)
    nats = -sampler.log_prob(z).mean().item()
    assert math.log(4) - 0.02 < nats < math.log(4) + 0.15
    with seeded("draws"):
        drawn = sampler.sample(1000)
    assert drawn.shape == (1000, 3, 2)
    is_copied = (drawn[:, 0] == drawn[:, 1]).all(-1).float().mean()
    assert is_copied > 0.9  # of independent codes a quarter


def test_draws_have_the_probabilities_that_the_density_says():
    """2,000 draws in 32 cells; the chi-square of 31 degrees is below 70 but once in 10,000."""
    sampler = fitted(dependent(), steps=20)
    index = every_code(sampler.alphabet)
    expected = 2000 * sampler.net.log_prob(index).exp().detach()
    with seeded("draws"):
        drawn = sampler.net.sample(2000)
    counts = (drawn[:, None] == index).all(-1).sum(0)
    is_likely = expected > 3
    chi = ((counts - expected).square() / expected)[is_likely].sum().item()
    assert chi < 70


@pytest.mark.parametrize(
    ("variant", "event"),
    [
        ("vq", (2, 2)),
        ("fsq", (4,)),
        ("rvq", (2, 2, 2)),
        ("lfq", (4, 1, 1)),
        ("simvq", (2, 1, 2)),
        ("gumbel", (8, 8)),
        ("vimco", (8, 8)),
    ],
)
def test_every_discrete_code_is_read_and_written_back(variant, event):
    """To what the decoder was trained on: values agree but for rounding."""
    with seeded(variant):
        model = registry.load_registry().variants[variant](SPEC).eval()
        x = (torch.rand(100, 1, 8, 8) > 0.5).float()
        z = draw_codes(model, [(x[:60], None), (x[60:], None)], is_discrete=True)
        sampler = fitted(z, steps=5)
    assert z.shape[1:] == event
    alphabet = sampler.alphabet
    torch.testing.assert_close(alphabet.code(alphabet.index), z, atol=1e-4, rtol=1e-4)
    assert torch.equal(alphabet.index_of(z), alphabet.index)
    drawn = sampler.sample(7)
    seen = by_position(z)
    for position, values in enumerate(by_position(drawn).unbind(1)):
        apart = (values[:, None] - seen[:, position]).abs().amax(-1).amin(-1)
        assert apart.max() < 1e-4
    assert decode(model, drawn, None, mean=True).shape == (7, 1, 8, 8)


def test_real_codes_are_refused_with_what_to_take_instead():
    with seeded(2), pytest.raises(Unsupported, match="such as mixture"):
        Causal().fit(torch.randn(1100, 2), 0)


def test_one_row_and_one_symbol_are_fitted():
    for z in (torch.ones(1, 3, 2), torch.ones(30, 3, 2)):
        assert torch.equal(fitted(z, steps=3).sample(4), torch.ones(4, 3, 2))


def test_held_out_rows_end_a_fit_that_learns_by_heart():
    """Codes of pure chance: nothing is to be learned, and the first looks show it."""
    with seeded(3):
        z = torch.randint(4, (200, 6)).float()
        sampler = Causal(steps=2000, learning_rate=1e-2)
        sampler.fit(z, 0)
        fresh = torch.randint(4, (2000, 6)).float()
    nats = -sampler.log_prob(fresh).mean().item()
    assert nats < 6 * math.log(4) + 0.5


def test_real_codes_of_few_rows_are_refused_and_many_symbols_of_few_rows_are_not():
    with seeded("real"):
        z = torch.randn(600, 2)
    with pytest.raises(Unsupported, match="values at one position in 600 rows"):
        Alphabet(z)
    assert Alphabet(torch.arange(60.0)[:, None]).sizes.tolist() == [60]

"""The two baselines for sequences: no latent, and no recurrence."""

import itertools

import pytest
import torch
from vaezoo_plugins.autoregressive import rnn
from vaezoo_plugins.frames import frames

from vaezoo.core import Spec
from vaezoo.seeds import seeded


def every_sequence(steps: int, channels: int) -> torch.Tensor:
    """All binary sequences, (2^(steps · channels), steps, channels)."""
    rows = list(itertools.product((0.0, 1.0), repeat=steps * channels))
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, steps, channels)


@pytest.mark.certifies("rnn", claim="the probabilities of all sequences sum to 1")
def test_the_probabilities_of_all_sequences_under_rnn_sum_to_1():
    x = every_sequence(3, 2)
    with seeded("weights"):
        model = rnn(Spec((3, 2), hidden=8)).double()
    torch.testing.assert_close(
        model.infer(x).log_w.exp().sum(), torch.tensor(1.0, dtype=torch.float64), rtol=0, atol=1e-10
    )


@pytest.mark.certifies("rnn", claim="bound and importance weights are log p(x)")
def test_the_bound_and_every_importance_weight_of_rnn_are_log_p():
    x = every_sequence(3, 2)
    with seeded("weights"):
        model = rnn(Spec((3, 2), hidden=8)).double()
    trace = model.infer(x, k=4)
    torch.testing.assert_close(trace.kl, torch.zeros_like(trace.kl), rtol=0, atol=0)
    torch.testing.assert_close(trace.log_w, trace.log_px, rtol=0, atol=1e-12)
    torch.testing.assert_close(trace.log_w, trace.log_w[:1].expand(4, -1), rtol=0, atol=0)
    assert trace.latents[0].kl_is_exact


def test_samples_of_rnn_have_the_probabilities_that_it_gives():
    x = every_sequence(2, 1)
    with seeded("weights"):
        model = rnn(Spec((2, 1), hidden=4)).double()
        p = model.infer(x).log_w[0].exp()
        drawn = model.sample(20_000)
    share = torch.stack([(drawn == row).flatten(1).all(1).double().mean() for row in x])
    assert ((share - p).abs() < 4 * (p * (1 - p) / 20_000).sqrt()).all()  # four cells, z = 4


@pytest.mark.certifies("frames", claim="it is the VAE of its steps")
def test_frames_treat_the_steps_of_a_sequence_as_rows():
    spec = Spec((4, 3), latent=2, hidden=8)
    with seeded("weights"):
        model = frames(spec).double()
    x = torch.bernoulli(torch.full((5, 4, 3), 0.5, dtype=torch.float64))
    q, p = model.infer(x).latents[0].q, model.infer(x).px
    shuffled = model.infer(x[:, [2, 0, 3, 1]])
    torch.testing.assert_close(
        shuffled.latents[0].q.mean, q.mean[:, :, [2, 0, 3, 1]], rtol=0, atol=1e-12
    )
    assert p.mean.shape == (1, 5, 4, 3)
    alone = [model.infer(x[:, t : t + 1]).kl for t in range(4)]
    torch.testing.assert_close(torch.stack(alone).sum(0), model.infer(x).kl, rtol=0, atol=1e-12)

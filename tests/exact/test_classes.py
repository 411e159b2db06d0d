"""Codes that are classes: bounds and densities by enumeration of all codes."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from vaezoo_plugins.classes import MADE, Masked, Quantised, made, sqvae

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.distributions import normal, one_hot
from vaezoo.losses import require_separate_parts
from vaezoo.seeds import seeded

from ._trained import once

SPEC = Spec((5,), latent=4, hidden=12)
BUILDS = {
    "sqvae": lambda: sqvae(SPEC, size=3, start=2.0),  # a wide q(e|x): even weights
    "made": lambda: made(SPEC, groups=3, classes=3),
}
KINDS = pytest.mark.parametrize("name", list(BUILDS))
BOTH = pytest.mark.parametrize("steps", [0, 60])


def data() -> Tensor:
    return torch.rand(12, 5, generator=torch.Generator().manual_seed(0)).round().double()


@once
def built(name: str, steps: int) -> VAE:
    with seeded(name):
        model = BUILDS[name]().double()
        optimiser = torch.optim.Adam(model.parameters(), 0.02)
        for step in range(steps):
            optimiser.zero_grad()
            model(data(), None, step / steps)["loss"].backward()
            optimiser.step()
    return model.eval()


def all_codes(model: VAE) -> Tensor:
    """Every code, (N, G, M)."""
    groups, classes = model.prior().event_shape
    every = torch.tensor(list(itertools.product(range(classes), repeat=groups)))
    return one_hot(every, classes).double()


def log_p(model: VAE, x: Tensor) -> Tensor:
    """log p(x) (B,), the sum over all codes."""
    z = all_codes(model)[:, None].expand(-1, len(x), -1, -1)
    return (model.decoder(z).log_prob(x) + model.prior().log_prob(z)).logsumexp(0)


@pytest.mark.certifies("sqvae", "made", claim="the probabilities of all codes sum to 1")
@KINDS
@BOTH
def test_probabilities_of_all_codes_sum_to_one(name, steps):
    model = built(name, steps)
    total = model.prior().log_prob(all_codes(model)).logsumexp(0)
    assert total.item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.certifies(
    "sqvae", "made", claim="ELBO ≤ IWAE ≤ log p(x), which importance sampling meets, by enumeration"
)
@KINDS
@BOTH
def test_bounds_lie_below_the_sum_over_all_codes_and_meet_it(name, steps):
    """20,000 draws; the mean weight is within 5 standard errors of p(x)."""
    model = built(name, steps)
    x = data()
    with torch.no_grad(), seeded("draws"):
        exact = log_p(model, x)
        log_w = model.infer(x, k=20_000).log_w
    error = log_w.std(0) / math.sqrt(len(log_w))
    iwae = (log_w.unflatten(0, (-1, 20)).logsumexp(1) - math.log(20)).mean(0)
    assert (log_w.mean(0) < exact + 5 * error).all()
    assert (log_w.mean(0) < iwae + 5 * error).all()
    assert (iwae < exact + 5 * error).all()
    weight = (log_w - exact).exp()
    off = (weight.mean(0) - 1) / (weight.std(0) / math.sqrt(len(weight)))
    if name == "made" or not steps:  # trained, q(e|x) is narrow, and its weights have a long tail
        assert off.abs().max() < 5


@pytest.mark.certifies(
    "sqvae", claim="its rate is that of the pair of e and the choice, term by term"
)
def test_the_rate_is_that_of_the_pair():
    """log q(e|x) + log P̂(z|e) - log p(e|z), each from its formula, of what `draw` draws."""
    model = built("sqvae", 30)
    q: Quantised = model.encoder(data())
    with seeded("draws"):
        e = q.start.rsample((4,))  # (K, B, G, W)
    with seeded("draws"):
        z, found = q.draw((4,))  # the same e first
    scale = q.scale.expand_as(e)
    log_p = normal(z @ model.encoder.book, scale, 2).log_prob(e)
    near = torch.stack([normal(b.expand_as(e), scale).log_prob(e) for b in q.book], -1)
    log_choice = (z * near.log_softmax(-1)).sum((-2, -1))
    expected = q.start.log_prob(e) + log_choice - log_p
    torch.testing.assert_close(found, expected)


@pytest.mark.certifies("sqvae", claim="as σ falls the choice becomes the nearest vector")
def test_without_noise_the_choice_is_the_nearest_vector():
    model = built("sqvae", 0)
    q = model.encoder(data())
    distance = (q.start.mean.unsqueeze(-2) - q.book).square().sum(-1)
    nearest = one_hot(distance.argmin(-1), 3).double()
    assert torch.equal(q.centre(), nearest)
    nn.init.constant_(model.encoder.log_scale, -20.0)  # σ is 0.001, its least
    with seeded("draws"):
        assert (model.encoder(data()).sample((50,)) == nearest).double().mean() > 0.98


@pytest.mark.certifies("made", claim="a class reads those before it and no other")
def test_logits_of_a_group_read_the_groups_before_it():
    with seeded(1):
        net = Masked(4, 3, 10).double()
        z = torch.rand(4, 3).double()
    jacobian = torch.func.jacrev(net)(z).abs().amax((1, 3))  # (G, G): output by input
    assert torch.equal(jacobian > 0, torch.ones(4, 4).tril(-1).bool())


@pytest.mark.certifies("made", claim="draws have the probabilities that the density says")
def test_draws_of_the_prior_have_its_probabilities():
    """5,000 draws of 27 codes; the chi-square of 26 degrees is below 65 but once in 20,000."""
    model = built("made", 60)
    z = all_codes(model)
    expected = 5000 * model.prior().log_prob(z).exp()
    with seeded("draws"):
        drawn = model.prior().sample((5000,))
    counts = (drawn[:, None] == z).flatten(2).all(-1).sum(0)
    is_likely = expected > 3
    assert ((counts - expected).square() / expected)[is_likely].sum() < 65
    assert counts.sum() == 5000


def test_a_prior_over_other_classes_is_refused():
    encoder = built("made", 0).encoder
    with pytest.raises(Unsupported, match=r"prior\.groups"):
        MADE(SPEC, encoder, 2, 3)
    with pytest.raises(Unsupported, match="no multiple"):
        sqvae(SPEC, width=3)


def test_the_temperature_falls_in_training_alone():
    model = BUILDS["sqvae"]().train()
    model(data().float(), None, 1.0)
    assert model.encoder.temperature.item() == pytest.approx(0.3)
    model.eval()(data().float(), None, 0.0)
    assert model.encoder.temperature.item() == pytest.approx(0.3)


def test_a_loss_that_freezes_one_part_refuses_a_decoder_that_reads_the_encoders_book():
    model = BUILDS["sqvae"]()
    with pytest.raises(Unsupported, match="reads its parameters"):
        require_separate_parts(model, "a loss")
    assert require_separate_parts(BUILDS["made"](), "a loss")

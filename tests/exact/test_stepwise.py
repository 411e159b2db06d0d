"""Models with a latent at every step: densities against quadrature, joint draws, one density for
every layout of x.
"""

import math

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.autoregressive import rnn
from vaezoo_plugins.cwvae import cwvae
from vaezoo_plugins.dkf import dkf, dmm
from vaezoo_plugins.dsae import dsae
from vaezoo_plugins.frames import frames
from vaezoo_plugins.gpvae import gpvae
from vaezoo_plugins.kvae import kvae
from vaezoo_plugins.latent_ode import latent_ode
from vaezoo_plugins.rvae import rvae
from vaezoo_plugins.srnn import srnn
from vaezoo_plugins.storn import storn
from vaezoo_plugins.transformer_vae import transformer_vae
from vaezoo_plugins.vrae import vrae
from vaezoo_plugins.vrnn import vrnn

from vaezoo.core import Spec
from vaezoo.distributions import at_centre
from vaezoo.networks import from_steps, to_steps
from vaezoo.recurrent import Gates
from vaezoo.seeds import seeded


def dmm_linear(spec: Spec):
    return dmm(spec, linear=True)


def rvae_both(spec: Spec):
    return rvae(spec, causal=False)


STEPWISE = [vrnn, storn, srnn, dkf, dmm, dmm_linear, rvae, rnn, frames]


def gpvae_short(spec: Spec):
    """Under a longer length q is narrow beside p(z|x) across it, and weights have a long tail."""
    return gpvae(spec, length=0.5)


OF_A_SEQUENCE = [vrae, latent_ode, transformer_vae]  # one latent each
BUILDERS = [*STEPWISE, *OF_A_SEQUENCE, rvae_both, dsae, kvae, gpvae_short, cwvae]
CERTIFIED = (
    "cwvae",
    "dkf",
    "dmm",
    "dsae",
    "gpvae",
    "kvae",
    "latent_ode",
    "rvae",
    "srnn",
    "storn",
    "transformer_vae",
    "vrae",
    "vrnn",
)
IMAGE = Spec((2, 4, 3), latent=2, hidden=8)
CHAIN = Spec((5, 3), latent=2, hidden=8)


def made(build, spec: Spec, dtype: torch.dtype = torch.float64):
    with seeded("weights", build.__name__):
        return build(spec).to(dtype)


def binary(spec: Spec, n: int) -> Tensor:
    with seeded("x"):
        return torch.bernoulli(torch.full((n, *spec.shape), 0.4, dtype=torch.float64))


def trained(model, spec: Spec, steps: int):
    """The model after it has learned that bits are mostly 0 and mostly repeat the one before."""
    optimiser, (t, c) = torch.optim.Adam(model.parameters(), 0.05), spec.as_steps
    with seeded("train"):
        for _ in range(steps):
            flips = torch.rand(1, 64, t, c) < 0.1
            flips[:, :, 0] = torch.rand(64, c) < 0.2
            loss = model(from_steps(flips.cumsum(2).remainder(2).double(), spec)[0])["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model


def all_binary(spec: Spec) -> Tensor:
    """Every x there is, (2^size, *shape)."""
    rows = torch.arange(2**spec.size)[:, None] >> torch.arange(spec.size) & 1
    return rows.double().unflatten(1, spec.shape)


@pytest.mark.certifies(*CERTIFIED, claim="p(x) sums to 1 over all x")
@pytest.mark.parametrize("build", BUILDERS)
def test_probabilities_of_all_x_sum_to_one(build):
    # p(x) by importance sampling with k draws; Σ_x p̂(x) has mean 1, and its spread over 20 groups
    # gives the error, z = 4. That images have the density of their rows is tested below.
    spec = Spec((2, 2), latent=1, hidden=6)
    model, x, k = trained(made(build, spec), spec, 20), all_binary(spec), 2000
    with torch.no_grad(), seeded("draws"):
        groups = model.infer(x, None, k).log_w.exp().unflatten(0, (20, -1)).mean(1).sum(1)
    assert abs(groups.mean() - 1) < 4 * groups.std() / math.sqrt(20) + 1e-6
    assert groups.std() / math.sqrt(20) < 0.02


@pytest.mark.certifies(*CERTIFIED, claim="draws have the frequencies of p(x)")
@pytest.mark.parametrize("build", BUILDERS)
def test_draws_follow_the_density_that_infer_reports(build):
    # The frequency of each of 16 x among n = 20,000 draws against its importance-sampled
    # probability, z = 5: an x_t that
    # is returned but is not the one fed back would show here.
    spec = Spec((4, 1), latent=1, hidden=6)
    model, n = trained(made(build, spec), spec, 40), 20_000
    with torch.no_grad(), seeded("draws"):
        p = model.infer(all_binary(spec), None, 5000).log_w.logsumexp(0).sub(math.log(5000)).exp()
        index = (model.sample(n).flatten(1) @ (2.0 ** torch.arange(4)).double()).long()
    seen = torch.bincount(index, minlength=16) / n
    assert (seen - p).abs().max() < 5 * math.sqrt(0.25 / n)
    assert p[0] > (0.45 if build in (vrnn, storn, srnn, vrae) else 0.2)  # a uniform p is 0.06


@pytest.mark.parametrize("build", BUILDERS)
def test_sampled_images_have_the_rows_that_were_fed_back(build):
    model = made(build, IMAGE)
    assert model.sample(3).shape == model.sample(3, mean=True).shape == (3, *IMAGE.shape)
    assert set(model.sample(3).unique().tolist()) <= {0.0, 1.0}
    means = model.sample(3, mean=True)
    assert ((means > 0) & (means < 1)).all()


def test_steps_of_an_image_are_its_rows_and_come_back():
    x = binary(IMAGE, 2)
    steps = to_steps(x, IMAGE)
    assert steps.shape == (2, 4, 6)
    assert torch.equal(steps[1, 2], torch.cat([x[1, 0, 2], x[1, 1, 2]]))
    assert torch.equal(from_steps(steps[None], IMAGE)[0], x)


@pytest.mark.parametrize("build", BUILDERS)
def test_an_image_has_the_likelihood_of_its_rows(build):
    model = made(build, IMAGE)
    rows = made(build, Spec((4, 6), latent=2, hidden=8))
    rows.load_state_dict(model.state_dict())
    x = binary(IMAGE, 3)
    with at_centre():
        torch.testing.assert_close(
            model.infer(x).log_px, rows.infer(to_steps(x, IMAGE)).log_px, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize(
    "likelihood", ["bernoulli", "normal", "continuous_bernoulli", "logistic", "categorical"]
)
@pytest.mark.parametrize("build", BUILDERS)
def test_every_likelihood_serves_sequences_and_images(build, likelihood):
    for shape in ((5, 3), (1, 4, 3)):
        spec = Spec(shape, likelihood, latent=2, hidden=8, levels=4)
        model, x = made(build, spec), binary(spec, 6)
        trace = model.infer(x, None, 3)
        assert trace.log_w.shape == trace.log_px.shape == (3, 6)
        assert trace.px.mean.shape == (3, 6, *shape)
        assert torch.isfinite(trace.log_w).all()
        assert model.sample(2).shape == (2, *shape)
        model(x)["loss"].backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("build", STEPWISE)
def test_steps_of_the_filter_add_up_to_the_trace(build):
    model, x, k = made(build, CHAIN), binary(CHAIN, 3), 4
    with seeded("draws"):
        expected = model.infer(x, None, k).log_w
    with seeded("draws"):
        seen, state, total = model.sight(x), model.start(k, 3, x), 0.0
        for t in range(5):
            log_alpha, state = model.step(seen, t, state)
            total = total + log_alpha
    torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.certifies(
    "cwvae",
    "dkf",
    "dmm",
    "dsae",
    "gpvae",
    "rvae",
    "srnn",
    "storn",
    "vrnn",
    claim="the KL of the steps is that of the draws",
)
@pytest.mark.parametrize("build", [b for b in BUILDERS if b not in (*OF_A_SEQUENCE, kvae, rnn)])
def test_closed_kl_of_the_steps_agrees_with_the_draws(build):
    # E[log q - log p] = E[Σ_t KL_t] over the drawn paths: n = 20,000 pairs, z = 4
    model, x = made(build, CHAIN), binary(CHAIN, 1)
    with torch.no_grad(), seeded("draws"):
        latent = model.infer(x, None, 20_000).latents[-1]
    assert latent.stepwise
    assert latent.kl_is_exact
    difference = latent.log_q - latent.log_p - latent.kl
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(20_000)


@pytest.mark.parametrize("build", BUILDERS)
def test_centres_are_not_random(build):
    model, x = made(build, CHAIN), binary(CHAIN, 3)
    with at_centre():
        assert torch.equal(model.infer(x).z, model.infer(x).z)
    assert not torch.equal(model.infer(x).z, model.infer(x).z)


def test_gates_are_a_gru_cell_whose_input_comes_in_two_parts():
    gates, cell = Gates(3, 2, 4).double(), torch.nn.GRUCell(5, 4).double()
    with torch.no_grad():
        cell.weight_ih.copy_(torch.cat([gates.w_seen, gates.w_drawn], 1))
        (
            cell.weight_hh.copy_(gates.w_state),
            cell.bias_ih.copy_(gates.b_input),
            cell.bias_hh.copy_(gates.b_state),
        )
    x, z, s = torch.randn(6, 3).double(), torch.randn(6, 2).double(), torch.randn(6, 4).double()
    torch.testing.assert_close(
        gates(s, gates.known(x), z), cell(torch.cat([x, z], 1), s), rtol=1e-12, atol=1e-12
    )


def test_word_dropout_is_for_training_alone():
    model, x = vrae(CHAIN, word_dropout=1.0).double(), binary(CHAIN, 2)
    with at_centre():
        # every step withheld: no randomness left
        assert torch.equal(model.train().infer(x).px.mean, model.infer(x).px.mean)
        blind = model.infer(x).px.mean
        assert not torch.equal(blind, model.eval().infer(x).px.mean)


def test_warmup_weighs_the_rate():
    model, x = vrae(CHAIN, warmup=0.5).double(), binary(CHAIN, 2)
    for progress, weight in ((0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (1.0, 1.0)):
        terms = model(x, None, progress)
        torch.testing.assert_close(terms["loss"], terms["distortion"] + weight * terms["rate"])


def test_a_vector_is_refused():
    for build in BUILDERS:
        with pytest.raises(ValueError, match="needs a sequence or an image"):
            build(Spec((3,)))

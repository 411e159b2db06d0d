"""NVIL, VIMCO and reweighted wake-sleep: their mean gradients by enumeration of all draws, and
where their training ends.
"""

import itertools
import math
import re
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from vaezoo_plugins.relax import relax
from vaezoo_plugins.score import NVIL, nvil, rws, vimco, without_each

from vaezoo.core import VAE, Encoder, Spec, Unsupported
from vaezoo.distributions import Classes
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.seeds import seeded

from ._quadrature import gradient
from ._trained import descended, once

SPEC = Spec((3,), latent=2, hidden=6)
GROUPS, CLASSES, K = 2, 2, 3
CODES = [torch.eye(CLASSES).double()[list(i)] for i in itertools.product(range(2), repeat=2)]
ALL = torch.stack(CODES)  # (4, G, M)
BUILDS = {
    "nvil": lambda **kw: nvil(SPEC, GROUPS, CLASSES, **kw),
    "vimco": lambda **kw: vimco(SPEC, GROUPS, CLASSES, k=K, **kw),
    "rws": lambda **kw: rws(SPEC, GROUPS, CLASSES, k=K, **kw),
}


def data() -> Tensor:
    """(6, 3), of four kinds."""
    return torch.tensor([[0, 0, 0], [0, 1, 1], [0, 1, 1], [1, 0, 1], [1, 0, 1], [1, 1, 0]]).double()


def come_to_the_posterior(model: VAE, steps: int, repeats: int) -> None:
    """The encoder of a model with one variable of four classes, so that q can be the posterior of
    its decoder, which stays: KL(q ‖ p(z|x)) in nats, the largest of all rows.
    """
    for p in model.decoder.parameters():
        p.data.mul_(3)
    z = torch.eye(4).double()[:, None, None].expand(-1, 6, 1, 4)
    posterior = model.decoder(z).log_prob(data()).log_softmax(0).detach()

    def divergence() -> float:
        log_q = model.encoder(data()).log_prob(z)
        return (log_q.exp() * (log_q - posterior)).sum(0).max().item()

    assert divergence() > 0.1
    learning = [*model.encoder.parameters(), *model.loss.parameters()]
    optimiser = torch.optim.Adam(learning, 0.01)
    for _ in range(steps):
        optimiser.zero_grad()
        model(data().repeat(repeats, 1))["loss"].backward()
        optimiser.step()
    assert divergence() < 0.01


def log_joint(model: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x, z) and log q(z|x) of all codes, (4, B) each."""
    z = ALL[:, None].to(x.dtype).expand(-1, len(x), -1, -1)
    log_p = model.decoder(z).log_prob(x) - GROUPS * math.log(CLASSES)
    return log_p, model.encoder(x).log_prob(z)


@once
def made(name: str, steps: int = 0, **options) -> VAE:
    """The variant at its first weights, which are spread, or after some steps of its own rule."""
    with seeded(name):
        model = BUILDS[name](**options).double()
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(3)
        descended(model, data().repeat(20, 1), steps, 0.02)
    return model


class Given(Classes):
    """Classes that draw what they are told."""

    def __init__(self, q: Classes, z: Tensor) -> None:
        super().__init__(q.log_p)
        self.z = z

    def sample(self, sample_shape=()) -> Tensor:
        return self.z[:, None]


class Told(Encoder):
    """The encoder whose draws of one x are the codes `z` (K, G, M)."""

    space = "simplex"

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.z = ALL[:1]

    def forward(self, x, c=None):
        return Given(self.encoder(x, c), self.z)


def mean_gradient(model: VAE, x: Tensor, k: int) -> Tensor:
    """∂ loss of one x, the exact mean over all K-tuples of draws."""
    model = deepcopy(model).eval()  # running means stand still
    own, model.encoder = model.encoder, Told(model.encoder)
    log_q = own(x).log_prob(ALL[:, None]).squeeze(1)
    total = torch.zeros(())
    for drawn in itertools.product(range(len(ALL)), repeat=k):
        model.encoder.z = ALL[list(drawn)]
        chance = log_q[list(drawn)].sum().exp().detach()
        total = total + chance * gradient(model, model(x)["loss"])
    return total


def exact_bound(model: VAE, x: Tensor, k: int) -> Tensor:
    """E L_k, the mean over x, exact over all K-tuples of draws, differentiable."""
    log_p, log_q = log_joint(model, x)
    drawn = torch.tensor(list(itertools.product(range(len(ALL)), repeat=k)))  # (4^k, k)
    bound = (log_p - log_q)[drawn].logsumexp(1) - math.log(k)  # (4^k, B)
    return (log_q[drawn].sum(1).exp() * bound).sum(0).mean()


def of(model: VAE, loss: Tensor) -> Tensor:
    """∂ loss over the parameters of encoder and decoder."""
    return torch.cat([gradient(model, loss, model.encoder), gradient(model, loss, model.decoder)])


def without_baseline(model: VAE, slope: Tensor) -> Tensor:
    """The part of a gradient that is of encoder and decoder, which come last."""
    sizes = [sum(p.numel() for p in part.parameters()) for part in (model.encoder, model.decoder)]
    return slope[-sum(sizes) :]


@pytest.mark.certifies("nvil", claim="the mean gradient is that of the ELBO, by enumeration")
@pytest.mark.parametrize("steps", [0, 60])
def test_nvil_has_the_gradient_of_the_elbo_whatever_its_baseline(steps):
    model = made("nvil", steps)
    if not steps:
        model.loss.mean.fill_(-3.0)
    model.loss.variance.fill_(0.25)  # below 1, where nothing is divided
    for x in data().unique(dim=0).split(1):
        found = without_baseline(model, mean_gradient(model, x, 1))
        expected = of(model, -exact_bound(model, x, 1))
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.certifies("vimco", claim="the mean gradient is that of E L_k, by enumeration")
@pytest.mark.parametrize("steps", [0, 60])
def test_vimco_has_the_gradient_of_the_multi_sample_bound(steps):
    model = made("vimco", steps)
    for x in data().unique(dim=0).split(1):
        expected = of(model, -exact_bound(model, x, K))
        torch.testing.assert_close(mean_gradient(model, x, K), expected, atol=1e-10, rtol=0)


@pytest.mark.certifies(
    "rws",
    claim="the decoder's mean gradient is that of E L_k; with many draws the wake gradient of q is "
    "that of the cross entropy with p(z|x), and asleep of the joint",
)
@pytest.mark.parametrize("steps", [0, 60])
def test_rws_ascends_its_three_objectives(steps):
    """The sleep gradient: 100 means of 1,000 dreams, 26 parameters, z-score below 4.5."""
    model = made("rws", steps, sleep=0.0)
    for x in data().unique(dim=0).split(1):
        expected = gradient(model, -exact_bound(model, x, K), model.decoder)
        found = mean_gradient(model, x, K)[-len(expected) :]
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)

    x = data()
    log_p, log_q = log_joint(model, x)
    posterior = log_p.softmax(0).detach()
    expected = gradient(model, -(posterior * log_q).sum(0).mean(), model.encoder)
    model.loss.k = 200_000
    with seeded("wake"):
        found = gradient(model, model(x)["loss"], model.encoder)
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)

    asleep = deepcopy(model)
    asleep.loss.k, asleep.loss.sleep = 1, 1.0
    every_x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3))).double()
    log_p, log_q = log_joint(asleep, every_x)
    expected = gradient(asleep, -(log_p.exp().detach() * log_q).sum(), asleep.encoder)
    rows = x[:1].expand(1000, 3)
    with seeded("sleep"):
        found = torch.stack(
            [gradient(asleep, asleep(rows)["loss"], asleep.encoder) for _ in range(100)]
        )
    error = found.std(0) / math.sqrt(100) + 1e-12
    assert ((found.mean(0) - expected).abs() / error).max() < 4.5


@pytest.mark.certifies("vimco", claim="L_k^{-j} has the geometric mean of the others for w_j")
def test_each_draw_is_replaced_by_the_geometric_mean_of_the_others():
    w = torch.tensor([[1.0], [2.0], [8.0]]).double()
    expected = [[4.0 + 2 + 8], [1 + math.sqrt(8) + 8], [1 + 2 + math.sqrt(2)]]
    found = without_each(w.log())
    torch.testing.assert_close(found, (torch.tensor(expected).double() / 3).log())


def on_the_page() -> dict[str, float]:
    """The table of variances in docs/variants/discrete.md."""
    page = (Path(__file__).parents[2] / "docs" / "variants" / "discrete.md").read_text()
    rows = re.findall(r"^\| (\w[\w ]*) \| (\d\.\d+) \|$", page, re.MULTILINE)
    return {name: float(value) for name, value in rows}


def variance(model: VAE) -> float:
    """The trace of the covariance of the encoder's gradient, of 300 gradients."""
    with seeded("variance"):
        slopes = [gradient(model, model(data())["loss"], model.encoder) for _ in range(300)]
    return torch.stack(slopes).var(0).sum().item()


def relaxed(start: VAE) -> VAE:
    """RELAX at these weights, its control variate after 300 steps there."""
    with seeded("relax"):
        model = relax(SPEC, GROUPS, CLASSES).double().eval()
        model.encoder.load_state_dict(start.encoder.state_dict())
        model.decoder.load_state_dict(start.decoder.state_dict())
        optimiser = torch.optim.Adam(model.loss.parameters(), 0.02)
        for _ in range(300):
            optimiser.zero_grad()
            model(data().repeat(20, 1))["loss"].backward()
            optimiser.step()
    return model


@pytest.mark.certifies(
    "nvil", "vimco", "rws", "relax", claim="less variance than the score without a baseline"
)
def test_each_has_less_variance_than_the_score_alone_and_the_page_says_by_how_much():
    """All at the weights that NVIL came to; the page is true to a quarter of each number."""
    start = made("nvil", 150).eval()
    bare = deepcopy(start)
    for value in (bare.loss.mean, *bare.loss.parameters()):
        value.data.zero_()
    found = {"no baseline": variance(bare), "nvil": variance(start)}
    for name in ("vimco", "rws"):
        model = BUILDS[name]().double().eval()
        model.encoder.load_state_dict(start.encoder.state_dict())
        model.decoder.load_state_dict(start.decoder.state_dict())
        found[name] = variance(model)
    found["relax"] = variance(relaxed(start))

    shares = {name: value / found["no baseline"] for name, value in found.items()}
    assert all(shares[name] < 0.2 for name in ("nvil", "vimco", "rws", "relax"))
    assert shares == pytest.approx(on_the_page(), rel=0.25)


@pytest.mark.certifies(
    "nvil", "vimco", "rws", claim="under a fixed decoder q(z|x) comes to p(z|x), by enumeration"
)
@pytest.mark.parametrize("build", [nvil, vimco, rws])
def test_the_encoder_comes_to_the_posterior_of_a_fixed_decoder(build):
    """One variable of four classes, so that q can be the posterior: KL(q ‖ p(z|x)) in nats."""
    with seeded("posterior"):
        model = build(SPEC, 1, 4).double()
        come_to_the_posterior(model, 500, 60)


@pytest.mark.certifies("nvil", "vimco", "rws", claim="float32 gives the gradient of float64")
@pytest.mark.parametrize("name", list(BUILDS))
@pytest.mark.parametrize("steps", [0, 60])
def test_single_precision_gives_the_same_gradient(name, steps):
    double = made(name, steps, **({"sleep": 0.0} if name == "rws" else {})).eval()
    single = deepcopy(double).float()
    z = ALL[[0, 3, 1][: 1 if name == "nvil" else K]]
    slopes = []
    for model, x in ((double, data()[1:2]), (single, data()[1:2].float())):
        model.encoder = Told(model.encoder)
        model.encoder.z = z.to(x.dtype)
        slopes.append(gradient(model, model(x)["loss"]).double())
    torch.testing.assert_close(slopes[1], slopes[0], atol=2e-5, rtol=2e-5)


def test_the_running_means_of_nvil_rest_in_evaluation_and_are_those_of_the_steps_before():
    model = made("nvil")
    loss: NVIL = model.loss
    model.eval()(data())
    assert (loss.mean.item(), loss.variance.item()) == (0.0, 0.0)
    with torch.no_grad(), seeded(0):
        missed = model.infer(data()).log_w - loss.baseline(data()).squeeze(-1)
    model.train()
    with seeded(0):
        model(data())
    torch.testing.assert_close(loss.mean, 0.2 * missed.mean())
    torch.testing.assert_close(loss.variance, 0.2 * missed.var(unbiased=False))


@pytest.mark.parametrize("name", list(BUILDS))
def test_codes_that_carry_a_gradient_are_refused(name):
    model = BUILDS[name]()
    with pytest.raises(Unsupported, match="for codes that are classes"):
        VAE(Gaussian(SPEC), Write(SPEC), StandardNormal(SPEC), model.loss)
    if name == "vimco":
        with pytest.raises(Unsupported, match="two draws at least"):
            vimco(SPEC, k=1)

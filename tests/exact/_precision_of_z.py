"""Posteriors and priors in both precisions: cases for test_single_precision.py."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from vaezoo_plugins import (
    classes as more_classes,
    delta,
    flow_prior,
    flows,
    gpvae,
    kvae,
    ladder,
    lars,
    lsgm,
    nvae,
    poincare,
    semi_supervised,
)

from vaezoo.codebooks import Entries
from vaezoo.core import Spec
from vaezoo.distributions import (
    Classes,
    EqualClasses,
    MaskedNormals,
    Normal,
    Normals,
    StandardNormals,
    UniformOnSphere,
    kl,
    mixture,
    normal,
)
from vaezoo.networks import split_normal
from vaezoo.views import MixtureOfNormals

from ._precision import RAW, SCALES, Case, grid


def gaussian() -> Case:
    loc, scale, x = grid(RAW, SCALES, RAW)
    return Case(
        {"loc": loc, "scale": scale, "x": x},
        lambda loc, scale, x: [Normal(loc, scale, validate_args=False).log_prob(x)],
    )


def gaussian_kl() -> Case:
    loc, scale, other = grid(RAW, SCALES, SCALES)
    return Case(
        {"loc": loc, "scale": scale, "other": other},
        lambda loc, scale, other: [
            kl(
                Normal(loc, scale, validate_args=False),
                Normal(torch.zeros_like(loc), other, validate_args=False),
            )
        ],
    )


def network_gaussian(width: int) -> Case:
    """What `split_normal` makes of raw numbers, at its own draws and against N(0, I)."""
    torch.manual_seed(width)
    raw = 50 * (2 * torch.rand(64, 2 * width) - 1)
    noise = torch.randn(64, width)

    def compute(raw):
        q = split_normal(raw)
        z = (q.mean + q.stddev * noise.to(raw)).detach().float().to(raw)  # one point for both
        zero = torch.zeros(width).to(raw)
        p = StandardNormals(zero)
        return [q.log_prob(z), p.log_prob(z), kl(q, p), kl(q, normal(zero, torch.ones_like(zero)))]

    return Case({"raw": raw}, compute, 1e-5)  # a sum over the dimensions


def masked_normals() -> Case:
    torch.manual_seed(0)
    mask = torch.rand(20, 5) > 0.3
    loc = 50 * (2 * torch.rand(20, 5, 3) - 1)
    scale = 10 ** (6 * torch.rand(20, 5, 3) - 3)
    x = torch.randn(20, 5, 3)
    return Case(
        {"loc": loc, "scale": scale},
        lambda loc, scale: [
            MaskedNormals(loc, scale, mask).log_prob(x.to(loc)),
            kl(
                MaskedNormals(loc, scale, mask),
                MaskedNormals(torch.zeros_like(loc), torch.ones_like(scale), mask),
            ),
        ],
    )


def classes() -> Case:
    torch.manual_seed(0)
    logits = 50 * (2 * torch.rand(40, 3, 10) - 1)
    z = torch.nn.functional.one_hot(torch.randint(10, (40, 3)), 10)
    return Case(
        {"logits": logits},
        lambda logits: [
            (q := Classes(logits)).log_prob(z.to(logits)),
            kl(q, EqualClasses(torch.zeros(3, 10).to(logits))),
        ],
    )


def residual() -> Case:
    """NVAE's posterior relative to its prior, at a point, its divergence from that prior too."""
    torch.manual_seed(0)
    shape = 16, 4, 2, 2
    leaves = {
        "loc": 50 * (2 * torch.rand(shape) - 1),
        "scale": 10 ** (6 * torch.rand(shape) - 3),
        "shift": 5 * (2 * torch.rand(shape) - 1),
        "log_ratio": 3 * (2 * torch.rand(shape) - 1),
    }
    z = 50 * (2 * torch.rand(shape) - 1)

    def compute(loc, scale, shift, log_ratio):
        p = Normals(loc, scale, 3)
        q = nvae.Residual(p, shift, log_ratio)
        return [q.log_prob(z.to(loc)), kl(q, p)]

    return Case(leaves, compute)


def diffused(width: int) -> Case:
    """LSGM's prior, its network as it begins, at codes near and far."""
    torch.manual_seed(width)
    noise = lsgm.MixedNoise(width, 8)
    z = torch.randn(32, width) * torch.tensor([0.1, 1.0, 3.0, 10.0]).repeat(8)[:, None]

    def compute(z):
        p = lsgm.Diffused(noise.to(z), width, 10, "importance")
        return [p.log_prob(z)]

    return Case({"z": z}, compute, 1e-5)  # of ten steps


def one_class() -> Case:
    torch.manual_seed(0)
    logits = 50 * (2 * torch.rand(40, 10) - 1)
    y = torch.nn.functional.one_hot(torch.randint(10, (40,)), 10)

    def compute(logits):
        q = semi_supervised.OneClass(logits.log_softmax(-1))
        p = semi_supervised.OneClass(torch.zeros(10).to(logits).log_softmax(-1))
        return [q.log_prob(y.to(logits)), kl(q, p)]

    return Case({"logits": logits}, compute)


def mixture_of_normals(width: int) -> Case:
    torch.manual_seed(width)
    leaves = {
        "logits": 50 * (2 * torch.rand(10) - 1),
        "loc": 50 * (2 * torch.rand(10, width) - 1),
        "scale": 10 ** (6 * torch.rand(10, width) - 3),
        "z": 50 * (2 * torch.rand(32, width) - 1),
    }
    return Case(
        leaves,
        lambda logits, loc, scale, z: [mixture(logits, normal(loc, scale)).log_prob(z)],
    )


def product_of_normals() -> Case:
    torch.manual_seed(0)
    raw = 50 * (2 * torch.rand(64, 8) - 1)
    other = 50 * (2 * torch.rand(64, 8) - 1)

    def compute(raw, other):
        p = split_normal(other)
        q = ladder.product(split_normal(raw), p)
        return [q.mean, q.stddev, kl(q, p)]

    # means of 50 are known to 4e-6, and scales go down to 0.001: see `ladder.product`
    return Case({"raw": raw, "other": other}, compute, 5e-4)


def flow(build: Callable[[Spec], flows.Bent], width: int, size: float) -> Case:
    """One step of a flow, its raw numbers `size` at the most."""
    torch.manual_seed(width)
    encoder = build(Spec((6,), "normal", latent=width, hidden=8))
    raw = size * (2 * torch.rand(32, encoder.numbers) - 1)
    z = 3 * torch.randn(2, 32, width)

    def compute(raw):
        end, log_det = encoder.step(z.to(raw), raw)
        return [end, log_det]

    # z is a sum of as many products of `size` and tanh as there are dimensions, and what tanh reads
    # is such a sum again
    return Case({"raw": raw}, compute, 1e-3 if size > 1 else 1e-5)


def autoregressive(width: int) -> Case:
    torch.manual_seed(width)
    encoder = flows.iaf(Spec((6,), "normal", latent=width, hidden=16)).encoder
    z = 3 * torch.randn(2, 32, width)
    h = 50 * torch.randn(32, 16)

    def compute(h):
        encoder.to(h.dtype)
        m, log_gate = encoder._masked(encoder.steps[0], z.to(h), h)
        return [m, log_gate]

    return Case({"h": h}, compute, 1e-5)


def flow_as_prior(kind: str, width: int) -> Case:
    torch.manual_seed(width)
    prior = flow_prior.FlowPrior(Spec((6,), latent=width, hidden=16), kind)
    z = torch.randn(32, width) * torch.tensor([0.1, 1.0, 10.0, 50.0]).repeat(8)[:, None]
    return Case({"z": z}, lambda z: [prior.to(z.dtype)().log_prob(z)], 1e-5)


def full_normals(width: int) -> Case:
    """The densities that are fitted to codes, of columns of size 0.001 to 1,000."""
    torch.manual_seed(width)
    column = 10 ** torch.linspace(-3, 3, width)
    tril = column[:, None] * (torch.eye(width) + torch.randn(4, width, width).tril(-1) / width)
    e = torch.randn(32, width)
    return Case(
        {"loc": 50 * torch.randn(4, width), "tril": tril, "logits": torch.randn(4)},
        lambda loc, tril, logits: [
            mixture(logits, torch.distributions.MultivariateNormal(loc, scale_tril=tril)).log_prob(
                (column * e).to(loc)
            )
        ],
        1e-4,  # differences of 50 from 0.001, and D² products
    )


def on_sphere(kind: type, width: int) -> Case:
    torch.manual_seed(width)
    mu = torch.nn.functional.normalize(torch.randn(8, width), dim=-1)
    kappa = torch.tensor([1e-3, 0.1, 1.0, 10.0, 1e2, 1e3, 1e5, 1e6])[:, None]
    noise = torch.randn(8, width) / kappa.sqrt().clamp_min(1)
    z = torch.nn.functional.normalize(mu + noise, dim=-1)

    def compute(kappa):
        q = kind(mu.to(kappa), kappa)
        return [q.log_prob(z.to(kappa)), kl(q, UniformOnSphere(torch.zeros(width).to(kappa)))]

    return Case({"kappa": kappa}, compute, 5e-6)  # log f and log area are of size D


def in_ball(width: int) -> Case:
    """From the middle to the radius that the encoder allows, float64 inside."""
    torch.manual_seed(width)
    m = torch.nn.functional.normalize(torch.randn(8, width), dim=-1)
    m = m * torch.tensor([1e-4, 0.1, 1.0, 3.0, 8.0, 12.0, 14.0, 15.0])[:, None]
    e = torch.randn(8, width).double()

    def compute(m, scale):
        m = m.double()
        loc = poincare.exp_map(torch.zeros_like(m), m / 2, 1.0)
        q = poincare.WrappedNormal(loc, scale, 1.0)
        v = e * scale.double().detach()
        z = poincare.exp_map(loc.detach(), v / poincare.factor(loc.detach(), 1.0), 1.0)
        return [q.log_prob(z), q._log_density(v)]

    scale = torch.tensor([1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 1.0, 1.2])[:, None].expand(8, width)
    return Case({"m": m, "scale": scale.clone()}, compute, 1e-5)


def resampled(tries: int) -> Case:
    """From an acceptance of almost nothing to almost all, at any Z."""
    raw, z, mean_a = grid(RAW, (-4.0, 0.1, 3.0), (1e-4, 0.1, 0.9))

    def compute(raw, mean_a):
        zero = torch.zeros(1).to(raw)
        p = lars.Resampled(StandardNormals(zero), lambda _: raw[:, None], mean_a, tries)
        return [p.log_prob(z[:, None].to(raw))]

    return Case({"raw": raw, "mean_a": mean_a}, compute, 1e-5)


def chain(width: int) -> Case:
    """The density of a state space, with deviations from 0.01 to 50, and the smoothed means."""
    torch.manual_seed(width)
    space = kvae.StateSpace(width, 8, 1)
    del space._parameters["raw_scales"]  # a leaf of the case in its place
    raw = torch.linspace(-50, 50, 3 * width).reshape(3, width)
    a = 5 * torch.randn(4, 20, width)

    def compute(raw):
        space.to(raw.dtype)
        space.raw_scales = raw
        return [space.log_prob(a.to(raw)), space.smooth(a.to(raw))[0]]

    return Case({"raw": raw}, compute, 1e-4)


def held_scale(width: int) -> Case:
    torch.manual_seed(width)
    encoder = delta.Committed(Spec((6,), "normal", latent=width, hidden=8))
    encoder.net.forward = lambda x, c=None: x
    zero = torch.zeros(width)

    def compute(raw):
        return [kl(encoder(raw), normal(zero.to(raw), torch.ones_like(zero).to(raw)))]

    return Case({"raw": 50 * (2 * torch.rand(64, 2 * width) - 1)}, compute, 1e-5)


def entries() -> Case:
    torch.manual_seed(0)
    logits = 50 * (2 * torch.rand(3, 2, 5) - 1)
    tables = torch.randn(3, 2, 5, 2)
    chosen = Entries(tables, logits).at(torch.randint(5, (40, 3, 2)))

    def compute(logits):
        p = Entries(tables.to(logits), logits.log_softmax(-1))
        return [p.log_prob(chosen.to(logits))]

    return Case({"logits": logits}, compute)


def codes() -> Case:
    torch.manual_seed(0)
    logits = 50 * (2 * torch.rand(3, 5) - 1)
    values = torch.randn(5, 2)
    z = values[torch.randint(5, (40, 3))]

    def compute(logits):
        p = Entries(values.to(logits).expand(3, -1, -1), logits.log_softmax(-1))
        return [p.log_prob(z.to(logits))]

    return Case({"logits": logits}, compute)


def mixture_of_experts(width: int) -> Case:
    torch.manual_seed(width)
    leaves = {
        "logits": 5 * (2 * torch.rand(3, 10) - 1),
        "loc": 50 * (2 * torch.rand(3, 10, width) - 1),
        "scale": 10 ** (6 * torch.rand(3, 10, width) - 3),
        "z": 50 * (2 * torch.rand(4, 10, width) - 1),
    }
    return Case(
        leaves,
        lambda logits, loc, scale, z: [MixtureOfNormals(loc, scale, logits.softmax(0)).log_prob(z)],
    )


def banded() -> Case:
    """Roots of precisions between 0.1 and 10, and what binds two steps as large."""
    torch.manual_seed(0)
    leaves = {
        "loc": 50 * (2 * torch.rand(6, 7, 2) - 1),
        "diagonal": 10 ** (2 * torch.rand(6, 7, 2) - 1),
        "beside": 2 * torch.rand(6, 7, 2) - 1,
        "z": 50 * (2 * torch.rand(6, 7, 2) - 1),
    }
    return Case(
        leaves,
        lambda loc, diagonal, beside, z: [gpvae.Banded(loc, diagonal, beside, None).log_prob(z)],
    )


def processes() -> Case:
    torch.manual_seed(0)
    root = torch.eye(7) + 0.3 * torch.rand(2, 7, 7).tril(-1)
    return Case(
        {"z": 50 * (2 * torch.rand(6, 7, 2) - 1)},
        lambda z: [gpvae.Processes(root.to(z)).log_prob(z)],
    )


def autoregression() -> Case:
    """Logits that a class moves by 10 in all that come after."""
    torch.manual_seed(0)
    logits = 50 * (2 * torch.rand(3, 5) - 1)
    z = torch.nn.functional.one_hot(torch.randint(5, (40, 3)), 5)

    def compute(logits):
        def after(z):
            return logits + 10 * torch.nn.functional.pad(z.cumsum(-2)[..., :-1, :], (0, 0, 1, 0))

        return [more_classes.Autoregression(after, z.shape[-2:]).log_prob(z.to(logits))]

    return Case({"logits": logits}, compute)


def quantised() -> Case:
    torch.manual_seed(0)
    e = 5 * torch.randn(40, 3, 2)
    book = torch.randn(8, 2)
    log_scale = torch.tensor(-1.0)

    def compute(e, book, log_scale):
        start = torch.distributions.Independent(torch.distributions.Normal(e, 1.0), 2)
        kind = SimpleNamespace(training=False)
        near = more_classes.Quantised(start, book, log_scale.exp(), kind).log_densities(e)
        return [near, near.logsumexp(-1)]

    return Case({"e": e, "book": book, "log_scale": log_scale}, compute)

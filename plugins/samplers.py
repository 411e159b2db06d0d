"""Densities fitted to a trained model's codes, to sample from in place of its prior.

    vaezoo bench --variants vae,rae_l2 --sampler prior,mixture

Ghosh, Sajjadi, Vergari, Black & Schölkopf 2020, arXiv:1903.12436, §4, call it ex-post density
estimation.
"""

import torch
import zuko
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal, kl_divergence

from vaezoo.core import Unsupported
from vaezoo.distributions import draw, mixture, normal
from vaezoo.fitted import Scale, fitted_mixture, fitted_normal, minimise
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Count, Positive
from vaezoo.networks import mlp, split_normal
from vaezoo.samplers import Sampler


class Gaussian(Sampler):
    """One Gaussian with full covariance, by its moments."""

    def fit(self, z: Tensor, seed: int) -> None:
        mean, tril = fitted_normal(z)
        self.mean = mean.to(z)
        self.tril = tril.to(z)

    def sample(self, n: int) -> Tensor:
        noise = torch.randn(n, len(self.mean), dtype=self.mean.dtype, device=self.mean.device)
        return self.mean + noise @ self.tril.T


class Mixture(Sampler):
    """A mixture of Gaussians with full covariances, by expectation maximisation.

    The paper's choice, of ten Gaussians.
    """

    def __init__(self, components: Count = 10) -> None:
        self.components = components

    def fit(self, z: Tensor, seed: int) -> None:
        log_weights, loc, tril = fitted_mixture(z, self.components, seed)
        parts = MultivariateNormal(loc.to(z), scale_tril=tril.to(z), validate_args=False)
        self.density = mixture(log_weights.to(z), parts)

    def sample(self, n: int) -> Tensor:
        return self.density.sample(torch.Size((n,)))


class Flow(Sampler):
    """A neural spline flow on standardised codes, by maximum likelihood.

    Durkan et al. 2019, arXiv:1906.04032.
    """

    def __init__(
        self,
        transforms: Count = 3,
        hidden: Count = 64,
        steps: Count = 1500,
        learning_rate: Positive = 1e-3,
    ) -> None:
        self.transforms = transforms
        self.hidden = hidden
        self.steps = steps
        self.learning_rate = learning_rate

    def fit(self, z: Tensor, seed: int) -> None:
        if z.shape[1] < 2:
            raise Unsupported("a flow couples dimensions, so it needs latent ≥ 2")
        self.scale = Scale(z)
        widths = [self.hidden, self.hidden]
        net = zuko.flows.NSF(z.shape[1], transforms=self.transforms, hidden_features=widths)
        self.net = net.to(z.device)
        minimise(self.net, self.scale.standard(z), self._cost, self.steps, self.learning_rate)

    def _cost(self, e: Tensor) -> Tensor:
        return -self.net().log_prob(e).mean()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        return self.scale.restored(self.net().sample((n,)))


class Second(Sampler):
    """A second VAE, on standardised codes: p(u) = N(0, I), p(z|u) = N(m(u), γ²).

    Its draws have the noise γ.

    Dai & Wipf 2019, arXiv:1903.05789, §4; the variant `two_stage` is the same idea with the bound
    of both stages.
    """

    def __init__(
        self, hidden: Count = 128, steps: Count = 4000, learning_rate: Positive = 2e-3
    ) -> None:
        self.hidden = hidden
        self.steps = steps
        self.learning_rate = learning_rate

    def fit(self, z: Tensor, seed: int) -> None:
        self.scale = Scale(z)
        self.net = Coder(z.shape[1], self.hidden).to(z.device)
        minimise(self.net, self.scale.standard(z), self.net, self.steps, self.learning_rate)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        like = self.scale.mean
        u = torch.randn(n, len(like), dtype=like.dtype, device=like.device)
        return self.scale.restored(self.net.p(u).sample())


class Coder(nn.Module):
    """q(u|e) and p(e|u) of D numbers each; called with e (B, D), it gives -ELBO."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.read = mlp(width, hidden, hidden, 2 * width)
        self.write = mlp(width, hidden, hidden, width)
        # log γ; from a start at 0 it stays where u is not used and γ explains everything
        self.log_noise = nn.Parameter(torch.tensor(-2.0))

    def p(self, u: Tensor) -> Distribution:
        return normal(self.write(u), self.log_noise.exp())

    def forward(self, e: Tensor) -> Tensor:
        q = split_normal(self.read(e))
        u, _ = draw(q)
        rate = kl_divergence(q, normal(torch.zeros_like(u), torch.ones_like(u)))
        return (rate - self.p(u).log_prob(e)).mean()


@hookimpl
def vaezoo_parts() -> Parts:
    return [
        Part("gaussian", Gaussian),
        Part("mixture", Mixture),
        Part("flow", Flow),
        Part("vae", Second),
    ]

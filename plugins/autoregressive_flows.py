"""Autoregressive flows fitted to a trained model's codes, to sample from.

vaezoo bench --variants vae,rae_l2 --sampler prior,maf,iaf
"""

import torch
import zuko
from torch import Tensor

from vaezoo.core import Unsupported
from vaezoo.fitted import Scale, minimise
from vaezoo.hooks import Part, Parts, hookimpl
from vaezoo.hyperparameters import Count, Positive
from vaezoo.samplers import Sampler


class MAF(Sampler):
    """A masked autoregressive flow on standardised codes, by maximum likelihood.

    e_d = (z_d - m_d(z_1 … z_{d-1}))/a_d(z_1 … z_{d-1}), `transforms` times: Papamakarios et al.
    2017, arXiv:1705.07057, eqs. 2 to 5. A density takes one pass, a draw one for each dimension.
    """

    is_inverse = False

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
            raise Unsupported("an autoregressive flow couples dimensions, so it needs latent ≥ 2")
        self.scale = Scale(z)
        widths = (self.hidden, self.hidden)
        flow = zuko.flows.MAF(z.shape[1], transforms=self.transforms, hidden_features=widths)
        self.flow = flow.transform.to(z)
        rows = self.scale.standard(z)
        minimise(self.flow, rows, self._cost, self.steps, self.learning_rate)
        self.flow.requires_grad_(False)

    def _cost(self, rows: Tensor) -> Tensor:
        return -self._log_density(rows).mean()

    def _log_density(self, rows: Tensor) -> Tensor:
        """Of standardised codes (N, D), (N,)."""
        f = self.flow().inv if self.is_inverse else self.flow()
        e, log_det = f.call_and_ladj(rows)
        base = torch.distributions.Normal(0.0, 1.0, validate_args=False)
        return base.log_prob(e).sum(-1) + log_det

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        """Of codes (N, D), (N,) in nats."""
        return self._log_density(self.scale.standard(z)) - self.scale.deviation.log().sum()

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        like = self.scale.mean
        e = torch.randn(n, len(like), dtype=like.dtype, device=like.device)
        f = self.flow() if self.is_inverse else self.flow().inv
        return self.scale.restored(f(e))


class IAF(MAF):
    """An inverse autoregressive flow on standardised codes, by maximum likelihood.

    z_d = a_d(e_1 … e_{d-1}) e_d + m_d(e_1 … e_{d-1}): Kingma et al. 2016, arXiv:1606.04934, eq. 9.
    A draw takes one pass, and a density one for each dimension, which is what a fit costs.
    """

    is_inverse = True

    def __init__(
        self,
        transforms: Count = 2,
        hidden: Count = 64,
        steps: Count = 800,
        learning_rate: Positive = 2e-3,
    ) -> None:
        super().__init__(transforms, hidden, steps, learning_rate)


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("maf", MAF), Part("iaf", IAF)]

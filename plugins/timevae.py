"""TimeVAE: a decoder that adds a trend, a season and a rest."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from vaezoo.core import VAE, Decoder, Spec
from vaezoo.distributions import Observed
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count
from vaezoo.likelihoods import numbers_of
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write, from_steps, join

Degree = Annotated[int, Field(ge=0)]


class TimeDecoder(Decoder):
    """p(x|z) with raw_t = Σ_p θ_p(z) (t/T)^p + Σ_j [t in season j] φ_j(z) + rest_t(z).

    Every channel has its own trend and seasons.

    Desai et al. 2021, arXiv:2111.08095, trend and seasonality blocks. The rest is the shared
    decoder.
    """

    powers: Tensor  # (degree, T)
    season_of: Tensor  # (T,)

    def __init__(
        self, spec: Spec, degree: Degree = 2, seasons: Count = 4, duration: Count = 1
    ) -> None:
        super().__init__()
        self.spec = spec
        self.width = spec.latent
        self.degree = degree
        self.seasons = seasons
        steps, channels = spec.as_steps
        self.numbers = numbers_of(spec)
        self.rest = Write(spec)
        time = torch.arange(steps) / steps
        self.register_buffer("powers", time ** torch.arange(1, degree + 1)[:, None])
        self.register_buffer("season_of", torch.arange(steps) // duration % seasons)

        # z and c -> the coefficients θ of the trend, and φ of the seasons
        inputs = spec.latent + spec.condition
        width = channels * self.numbers
        self.trend = _coefficients(inputs, degree * width) if degree else None
        self.season = nn.Linear(inputs, seasons * width)

    def forward(self, z: Tensor, c: Tensor | None = None) -> Observed:
        rest = self.rest.body(F.silu(self.rest.into(self._inputs(z, c))))  # (K, B, *shape[, n])
        steps = rest.shape[2] if self.spec.is_sequence else len(self.season_of)
        raw = self.pattern(z, c, steps)  # (K, B, T, C n)
        raw = raw if self.numbers == 1 else raw.unflatten(-1, (-1, self.numbers))  # (…, C[, n])
        return self.rest.likelihood(rest + from_steps(raw, self.spec))

    def _inputs(self, z: Tensor, c: Tensor | None) -> Tensor:
        """(K, B, D + C), in the network's precision: codes may be finer."""
        return join(z.flatten(2).to(self.season.weight), c, self.spec.condition)

    def pattern(self, z: Tensor, c: Tensor | None = None, steps: int | None = None) -> Tensor:
        """Trend and season of the first `steps`, (K, B, T, C n)."""
        z = self._inputs(z, c)
        phi = self.season(z).unflatten(-1, (self.seasons, -1))  # (K, B, seasons, C n)
        season = phi[:, :, self.season_of[:steps]]  # (K, B, T, C n)
        if self.trend is None:
            return season
        theta = self.trend(z).unflatten(-1, (self.degree, -1))  # (K, B, degree, C n)
        powers = self.powers[:, :steps]
        return season + torch.einsum("kbpc,pt->kbtc", theta, powers)  # Σ_p θ_p (t/T)^p


def _coefficients(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs))


@tags("recurrent")
def timevae(spec: Spec, degree: Degree = 2, seasons: Count = 4, duration: Count = 1) -> VAE:
    """A decoder that adds a polynomial trend, a season and a rest.

    R + KL, with one latent a sequence

    The trend has the given `degree`; `seasons` of `duration` steps each take turns. The encoder and
    the rest are the shared networks.

    Paper: Desai, Freeman, Wang, Beaver 2021, "TimeVAE: A Variational Auto-Encoder for Multivariate
    Time Series Generation", arXiv:2111.08095, the interpretable decoder. The weight on the
    reconstruction, which the paper tunes, is 1 here, so that the bound is one.
    """
    encoder = Gaussian(spec)
    decoder = TimeDecoder(spec, degree, seasons, duration)
    return VAE(encoder, decoder, StandardNormal(spec), ELBO())


@hookimpl
def vaezoo_variants() -> Variants:
    return [timevae]


@hookimpl
def vaezoo_parts() -> Parts:
    return [Part("timevae", TimeDecoder)]

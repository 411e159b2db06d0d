"""Regularised autoencoders: a smooth decoder in place of noise, a density fitted afterwards."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, distributions as D, nn
from torch.distributions import Distribution
from torch.nn import functional as F
from torch.nn.utils import parametrize

from vaezoo.core import VAE, Decoder, Loss, Model, Prior, Spec, Terms, Unsupported, require_parts
from vaezoo.distributions import mixture
from vaezoo.fitted import fitted_mixture
from vaezoo.hooks import Part, Parts, Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, NonNegative, Positive
from vaezoo.likelihoods import Likelihood
from vaezoo.losses import require_fixed_prior
from vaezoo.networks import Deterministic, Write, reading


class FittedMixture(Prior):
    """A mixture of Gaussians with full covariances, fitted to the codes; N(0, I) until then."""

    logits: Tensor
    loc: Tensor
    tril: Tensor

    def __init__(self, spec: Spec, parts: Count = 10) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(parts))
        self.register_buffer("loc", torch.zeros(parts, spec.latent))
        self.register_buffer("tril", torch.eye(spec.latent).repeat(parts, 1, 1))

    def forward(self, c: Tensor | None = None) -> Distribution:
        parts = D.MultivariateNormal(self.loc, scale_tril=self.tril, validate_args=False)
        return mixture(self.logits, parts)

    def fit(self, z: Tensor) -> None:
        log_weights, loc, tril = fitted_mixture(z.flatten(1), len(self.logits), seed=0)
        parts = len(loc)
        self.logits.fill_(-1e9)  # no weight on parts that there were too few codes for
        self.logits[:parts] = log_weights
        self.loc[:parts] = loc
        self.tril[:parts] = tril


class Regularised(Loss):
    """R + β ‖z‖²/2 + λ REG(decoder)."""

    no_density = "trained without a KL: q(z|x) is not a posterior"

    def __init__(self, beta: NonNegative, weight: NonNegative) -> None:
        super().__init__()
        self.beta = beta
        self.weight = weight

    def check(self, model: Model) -> None:
        require_parts(model, "a regularised autoencoder")
        require_fixed_prior(model, "a regularised autoencoder")

    @abstractmethod
    def penalty(self, vae: VAE, z: Tensor, c: Tensor | None) -> Tensor:
        """REG, a scalar, at the codes z (1, B, *event)."""

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        trace = model.infer(x, c)
        size = trace.z.flatten(2).square().sum(-1).mean() / 2  # ‖z‖²/2
        distortion = -trace.log_px.mean()
        penalty = self.penalty(require_parts(model, "RAE"), trace.z, c)
        loss = distortion + self.beta * size + self.weight * penalty
        return {"loss": loss, "distortion": distortion, "size": size, "penalty": penalty}


class WeightDecay(Regularised):
    """R + β ‖z‖²/2 + λ ‖θ‖², θ the weights of the decoder.

    Ghosh et al. 2020, arXiv:1903.12436, §3, RAE-L2.
    """

    def __init__(self, beta: NonNegative = 0.1, weight: NonNegative = 1e-3) -> None:
        super().__init__(beta, weight)

    def penalty(self, vae: VAE, z: Tensor, c: Tensor | None) -> Tensor:
        return sum((p.square().sum() for p in weights(vae.decoder)), z.new_zeros(()))


class GradientPenalty(Regularised):
    """R + β ‖z‖²/2 + λ ‖∂x̂/∂z‖², the squared Frobenius norm, a mean over the batch.

    Ghosh et al. 2020, arXiv:1903.12436, §3, RAE-GP.
    """

    def __init__(self, beta: NonNegative = 0.1, weight: NonNegative = 0.1) -> None:
        super().__init__(beta, weight)

    def penalty(self, vae: VAE, z: Tensor, c: Tensor | None) -> Tensor:
        with reading(vae.decoder):  # a second pass moves no state
            return squared_jacobian(lambda code: vae.decoder(code, c).mean, z)


class NoPenalty(Regularised):
    """R + β ‖z‖²/2, for a decoder that is smooth by construction."""

    def __init__(self, beta: NonNegative = 0.1) -> None:
        super().__init__(beta, 0.0)

    def penalty(self, vae: VAE, z: Tensor, c: Tensor | None) -> Tensor:
        return z.new_zeros(())


def weights(decoder: Decoder) -> list[Tensor]:
    """The decoder's parameters without its likelihood's: a scale must not be pulled to 0."""
    heads = [part for part in decoder.modules() if isinstance(part, Likelihood)]
    spared = {id(p) for part in heads for p in part.parameters()}
    return [p for p in decoder.parameters() if id(p) not in spared]


def squared_jacobian(f: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """An unbiased estimate of ‖∂f/∂z‖², a mean over rows (Hutchinson 1989).

    It projects the outputs of f on one random direction.

    A row of f (1, B, …) must depend on the same row of z (1, B, D) only.
    """
    # cuDNN's recurrent layers cannot be differentiated twice
    with torch.backends.cudnn.flags(enabled=False):
        out, pull = torch.func.vjp(f, z)[:2]
        (projected,) = pull(torch.randn(out.shape, dtype=out.dtype, device=out.device))
    return projected.flatten(2).square().sum(-1).mean()  # (1, B, D) -> ()


class Spectral(nn.Module):
    """c W / σ(W), σ the largest singular value, by one power iteration a pass.

    Miyato et al. 2018, arXiv:1802.05957.
    """

    u: Tensor

    def __init__(self, weight: Tensor, outputs: int, norm: float) -> None:
        super().__init__()
        self.norm = norm
        self.outputs = outputs  # the axis of W that counts the outputs
        u = torch.linalg.svd(self._matrix(weight.detach()), full_matrices=False).U[:, 0]
        self.register_buffer("u", u.clone())

    def _matrix(self, weight: Tensor) -> Tensor:
        """(outputs, all other axes)."""
        return weight.movedim(self.outputs, 0).flatten(1)

    def forward(self, weight: Tensor) -> Tensor:
        matrix = self._matrix(weight)
        with torch.no_grad():
            v = F.normalize(matrix.T @ self.u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
            if self.training:
                self.u.copy_(u)
        return self.norm * weight / (u @ matrix @ v)


class SmoothWrite(Write):
    """The shared decoder, its every layer with the spectral norm `norm`."""

    def __init__(self, spec: Spec, norm: Positive = 3.0) -> None:
        if spec.network == "rnn":
            raise Unsupported(
                "spectral norm is for linear and convolutional layers; "
                "a recurrent decoder has others"
            )
        super().__init__(spec)
        layers = [m for m in self.modules() if isinstance(m, nn.Linear | nn.ConvTranspose2d)]
        for layer in layers:
            outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            spectral = Spectral(layer.weight, outputs, norm)
            parametrize.register_parametrization(layer, "weight", spectral)


@tags("deterministic")
def rae_l2(
    spec: Spec, beta: NonNegative = 0.1, weight: NonNegative = 1e-3, parts: Count = 10
) -> VAE:
    """Puts decay of the decoder's weights in the place of noise.

    R + β ‖z‖²/2 + λ ‖θ‖², λ called `weight`

    After training a mixture of `parts` Gaussians is fitted to the codes, to sample from.

    R is -log p(x|z), in nats, where the paper has a squared error; its λ and β are chosen for each
    data set.

    Paper: Ghosh, Sajjadi, Vergari, Black & Schölkopf 2020, "From Variational to Deterministic
    Autoencoders", arXiv:1903.12436, §3 (RAE-L2) and §4 (the fit).
    """
    loss = WeightDecay(beta, weight)
    return VAE(Deterministic(spec), Write(spec), FittedMixture(spec, parts), loss)


@tags("deterministic")
def rae_gp(
    spec: Spec, beta: NonNegative = 0.1, weight: NonNegative = 0.1, parts: Count = 10
) -> VAE:
    """Puts a bound on the decoder's slope at the codes in the place of noise.

    R + β ‖z‖²/2 + λ ‖∂x̂/∂z‖², λ called `weight`

    After training a mixture of `parts` Gaussians is fitted to the codes, to sample from.

    ‖·‖ is the Frobenius norm of the Jacobian of the mean of p(x|z), estimated without bias by one
    random projection.

    Paper: Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", arXiv:1903.12436, §3
    (RAE-GP) and §4 (the fit).
    """
    loss = GradientPenalty(beta, weight)
    return VAE(Deterministic(spec), Write(spec), FittedMixture(spec, parts), loss)


@tags("deterministic")
def rae_sn(spec: Spec, beta: NonNegative = 0.1, norm: Positive = 3.0, parts: Count = 10) -> VAE:
    """Puts a bound on every layer's slope in the place of noise.

    R + β ‖z‖²/2

    The weights of every layer of the decoder are scaled to the spectral norm `norm`. After training
    a mixture of `parts` Gaussians is fitted to the codes, to sample from.

    The paper's norm is 1, in networks whose batch normalisation lets every layer grow again. The
    shared networks have none: with a norm of 1 the outputs hardly differ from one code to another.

    Paper: Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", arXiv:1903.12436, §3
    (RAE-SN) and §4 (the fit).
    """
    prior = FittedMixture(spec, parts)
    return VAE(Deterministic(spec), SmoothWrite(spec, norm), prior, NoPenalty(beta))


@hookimpl
def vaezoo_variants() -> Variants:
    return [rae_l2, rae_gp, rae_sn]


@hookimpl
def vaezoo_parts() -> Parts:
    losses = [
        Part("rae_l2", WeightDecay),
        Part("rae_gp", GradientPenalty),
        Part("rae_sn", NoPenalty),
    ]
    return [Part("fitted_mixture", FittedMixture), Part("smooth", SmoothWrite), *losses]

"""Where the codes of samples come from: the model's own prior, or a density that is fitted to codes
after training.

A sampler is a part that a plugin registers: `Part("mixture", Mixture)`, chosen by `bench --sampler
prior,mixture`. It is fitted to one draw of q(z|x) for every training row, that is to the aggregate
posterior, which is what the decoder has learned to read (Ghosh et al. 2020, arXiv:1903.12436, §4).
Likelihoods stay those of the model's own prior.

Most are densities of vectors of real numbers. One that says `is_discrete` is a density of codes of
any shape that take few values: classes, signs, entries of a codebook.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from .core import VAE, Model, Prior, Unsupported, require_parts
from .hooks import PRIOR

__all__ = ["PRIOR", "Sampler", "decode", "draw_codes", "prior_in_words"]

WHO = "a sampler that is fitted after training"


class Sampler(ABC):
    """A density over codes: vectors of D real numbers, or where it `is_discrete` events of few
    values.
    """

    part_kind = "sampler"
    is_discrete = False

    @abstractmethod
    def fit(self, z: Tensor, seed: int) -> None:
        """Learn from z (N, D) or (N, *event), with gradients switched on; torch's own generator is
        seeded.

        Raises: Unsupported where it is not for such codes.
        """

    def fit_to(self, model: Model, z: Tensor, seed: int) -> None:
        """`fit`, for a sampler that reads the model too, such as its metric; most do not.

        Raises: Unsupported where it is not for such a model or such codes.
        """
        self.fit(z, seed)

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """n draws, (n, D) or (n, *event), by torch's own generator."""


def prior_in_words(model: Model) -> str:
    """What `prior` means for this model, in words."""
    fits = type(model).fit_prior not in (Model.fit_prior, VAE.fit_prior)
    fits = fits or (isinstance(model, VAE) and type(model.prior).fit is not Prior.fit)
    return f"{PRIOR}, itself fitted after training" if fits else PRIOR


@torch.no_grad()
def draw_codes(
    model: Model, rows: Iterable[tuple[Tensor, Tensor | None]], is_discrete: bool = False
) -> Tensor:
    """(N, D), or where `is_discrete` (N, *event): one draw of q(z|x) for every row.

    Raises: Unsupported for a model whose codes are not one latent that the decoder alone reads, and
    unless `is_discrete` one vector of real numbers.
    """
    vae = _one_code(model)
    if not is_discrete:
        _must_be_real(vae)
    return torch.cat([_codes(vae, x, c, is_discrete) for x, c in rows])


@torch.no_grad()
def decode(model: Model, z: Tensor, c: Tensor | None, mean: bool) -> Tensor:
    """(n, *shape): a draw of p(x|z), or with `mean` its mean, for each code of z (n, *event)."""
    px = _one_code(model).decoder(z[None], c)
    return (px.mean if mean else px.sample())[0]


def _one_code(model: Model) -> VAE:
    vae = require_parts(model, WHO)
    if (type(vae).sample, type(vae).draw_px) != (VAE.sample, VAE.draw_px):
        raise Unsupported(
            f"{WHO} hands codes to the decoder; {type(model).__name__} draws samples in a way of "
            "its own"
        )
    return vae


def _must_be_real(vae: VAE) -> None:
    if vae.encoder.space != "real":
        raise Unsupported(
            f"{WHO} is a density of real numbers; these codes live in the space "
            f"{vae.encoder.space!r}"
        )


def _codes(vae: VAE, x: Tensor, c: Tensor | None, is_discrete: bool) -> Tensor:
    latents = vae.infer(x, c).latents
    is_one = len(latents) == 1 and not latents[0].stepwise
    if not is_one or (not is_discrete and latents[0].z.ndim != 3):
        raise Unsupported(
            f"{WHO} takes one code a row, a vector; this model has several, or one for every step"
        )
    return latents[0].z[0]

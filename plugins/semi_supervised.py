"""M2: a class and a code, of which the class is known for a few rows and inferred for the rest."""

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, distributions as D

from vaezoo.core import Latent, Loss, Model, Spec, Terms, Trace, Unsupported
from vaezoo.distributions import Drawable, draw, kl, one_hot
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import NonNegative
from vaezoo.networks import Gaussian, Read, StandardNormal, Write, without_gaps

Labels = Annotated[int, Field(ge=10, le=1000)]


class OneClass(Drawable):
    """Categorical over one-hot y (*, C), from log probabilities."""

    def __init__(self, log_p: Tensor) -> None:
        super().__init__(log_p.shape[:-1], log_p.shape[-1:])
        self.log_p = log_p

    @property
    def support(self) -> Any:
        return D.constraints.one_hot

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        log_p = self.log_p.expand(*shape, *self.log_p.shape)
        exponential = -torch.rand_like(log_p).clamp_min(1e-30).log()
        y = self._one_hot(log_p - exponential.clamp_min(1e-30).log())  # the Gumbel trick
        return y, self.log_prob(y)

    def centre(self) -> Tensor:
        return self._one_hot(self.log_p)

    def _one_hot(self, scores: Tensor) -> Tensor:
        """(*, C), 1 at the largest score."""
        return one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.log_p).sum(-1)


@D.register_kl(OneClass, OneClass)
def _kl_classes(q: OneClass, p: OneClass) -> Tensor:
    return (q.log_p.exp() * (q.log_p - p.log_p)).sum(-1)


class M2(Model):
    """p(y) p(z) p(x|y, z) with p(y) uniform, and q(y|x) q(z|x, y).

    The label is read by the loss, not by `infer`.
    """

    def __init__(self, spec: Spec, loss: Loss) -> None:
        super().__init__(loss)
        seen = spec.conditioned()
        self.classes = spec.classes
        self.classifier = Read(spec, spec.classes)
        self.encoder = Gaussian(seen)
        self.decoder = Write(seen)
        self.prior = StandardNormal(spec)

    def classify(self, x: Tensor) -> Tensor:
        return self.classifier(x).log_softmax(-1)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        q_y = OneClass(self.classify(x))
        y, log_q = draw(q_y, (k,))

        # z is drawn given x and the drawn class, in K·B rows
        q_z = self.encoder(_times(x, k), y.flatten(0, 1))
        z, log_q_z = (t.unflatten(0, (k, len(x))) for t in draw(q_z))

        uniform = OneClass(torch.full_like(q_y.log_p, -math.log(self.classes)))
        of_y = Latent(y, log_q, q_y, uniform)
        of_z = Latent(z, log_q_z, _of_draws(q_z, k), self.prior())
        return Trace(x, self.decoder(z, y), (of_y, of_z))

    def bounds(self, x: Tensor) -> Tensor:
        """-L(x, y) of every class, (C, B), from one draw of z each.

        -L(x, y) = log p(x|y, z) + log p(y) - KL(q(z|x, y) ‖ p(z))
        """
        each = torch.eye(self.classes, dtype=x.dtype, device=x.device)
        y = each[:, None].expand(-1, len(x), -1)  # (C, B, C): class i for every row
        q = self.encoder(_times(x, self.classes), y.flatten(0, 1))  # C·B rows
        z = draw(q)[0].unflatten(0, (self.classes, len(x)))  # (C, B, D)
        rate = kl(q, self.prior())
        if rate is None:
            raise Unsupported("M2 needs a posterior and a prior whose KL is known")
        rate = rate.unflatten(0, (self.classes, len(x)))  # (C, B)
        return self.decoder(z, y).log_prob(x) - math.log(self.classes) - rate

    def draw_px(self, n: int, c: Tensor | None = None) -> D.Distribution:
        y = self._any_class(n) if c is None else c
        z = self.prior().sample(torch.Size((1, n)))
        return self.decoder(z, y[None])

    def _any_class(self, n: int) -> Tensor:
        """(n, C), one-hot."""
        device = self.prior.zero.device
        index = torch.randint(self.classes, (n,), device=device)
        return torch.eye(self.classes, device=device)[index]


def _times(x: Tensor, k: int) -> Tensor:
    """(B, …) -> (K·B, …), K copies one after the other."""
    return x.expand(k, *x.shape).flatten(0, 1)


def _of_draws(q: D.Distribution, k: int) -> D.Distribution:
    """q of K·B rows as q of (K, B)."""
    base = q.base_dist  # type: ignore[attr-defined]
    loc = base.loc.unflatten(0, (k, -1))  # (K·B, D) -> (K, B, D)
    scale = base.scale.unflatten(0, (k, -1))
    return D.Independent(type(base)(loc, scale, validate_args=False), 1)


class SemiSupervised(Loss):
    """L(x, y) of labelled rows, U(x) of the others, and α E_labelled[-log q(y|x)].

    U(x) = Σ_y q(y|x) L(x, y) - H(q(y|x))

    A row is labelled if the fraction of a fixed random projection of x is below labels/n_train: so
    the choice depends on x alone, not on the order of minibatches, and about `labels` rows of the
    training split are labelled. Of data that itself says which rows have no label, whose c is all
    zeros, the others are.
    """

    projection: Tensor

    def __init__(self, spec: Spec, labels: int, alpha: float) -> None:
        super().__init__()
        if spec.is_dynamic:
            raise Unsupported(
                "this data's training rows are drawn anew in every minibatch, so that no fixed few "
                "can be the labelled ones; take its static form, such as mnist_static"
            )
        self.spec = spec
        self.alpha = alpha
        labels = spec.n_train - spec.unlabelled if spec.unlabelled else labels
        self.share = min(1.0, labels / spec.n_train)
        g = torch.Generator().manual_seed(14065298)
        projection = 100 * torch.rand(spec.shape, generator=g, dtype=torch.float64)
        self.register_buffer("projection", projection)

    def is_labelled(self, x: Tensor) -> Tensor:
        """Which rows' labels may be read, (B,)."""
        filled = without_gaps(x, self.spec).double()
        if self.spec.is_sequence:  # a minibatch may be cut to its longest row
            missing = max(0, self.spec.shape[0] - x.shape[1])
            filled = torch.nn.functional.pad(filled, (0, 0, 0, missing))
            filled = filled[:, : self.spec.shape[0]]
        projected = (filled * self.projection.double()).flatten(1).sum(1)  # (B,)
        return projected.frac().abs() < self.share

    def check(self, model: Model) -> None:
        if not isinstance(model, M2):
            raise Unsupported(
                f"SemiSupervised needs the variant m2; {type(model).__name__} has no classifier"
            )

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        if not isinstance(model, M2) or c is None:
            raise Unsupported("SemiSupervised needs the variant m2 and a label for every row")
        bounds = model.bounds(x)  # (C, B)
        log_q = model.classify(x).T  # (C, B)
        labelled = c.sum(-1) > 0 if self.spec.unlabelled else self.is_labelled(x)
        supervised = -(c.T * bounds).sum(0)
        unsupervised = (log_q.exp() * (log_q - bounds)).sum(0)
        generative = torch.where(labelled, supervised, unsupervised).mean()

        # the mean over labelled rows, without a division by their number in this minibatch, which
        # may be 0
        error = torch.where(labelled, -(c.T * log_q).sum(0), 0.0).mean() / self.share
        return {
            "loss": generative + self.alpha * error,
            "generative": generative,
            "classifier": error,
        }


@tags("labelled")
def m2(spec: Spec, labels: Labels = 100, alpha: NonNegative = 0.1) -> M2:
    """Learns from few labels: of the other rows the class is one more latent variable.

    E_labelled L(x, y) + E_others U(x) + α E_labelled[-log q(y|x)]

    Means are per row of the training split. About `labels` rows of it are labelled, chosen by a
    hash of x, and no other label is read; of data with rows labelled -1, all others are.

    Paper: Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised Learning with Deep Generative
    Models", arXiv:1406.5298, model M2, whose α is 0.1 N for sums over the data: 0.1 for means. Sums
    over classes are exact. The likelihood in the tables is of x alone, with the class drawn from
    q(y|x). Data that every minibatch binarises again is refused: the choice of labelled rows would
    change with it, until all labels had been read. One network more: the classifier.
    """
    if not spec.classes:
        raise Unsupported("needs labels; this data has none")
    return M2(spec, SemiSupervised(spec, labels, alpha))


@hookimpl
def vaezoo_variants() -> Variants:
    return [m2]

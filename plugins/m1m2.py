"""M1+M2: a VAE first, then on its codes a second one that knows the class of a few rows.

The density in the tables is that of the whole, p(y) p(z₂) p(z₁|y, z₂) p(x|z₁): its trace has the
latents z₁, y and z₂. Before the second stage is trained the bound is valid but loose.
"""

import math
from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Distribution

from vaezoo.core import VAE, Latent, Loss, Model, Spec, Terms, Trace, Unsupported
from vaezoo.distributions import Classes, EqualClasses, draw, kl, normal
from vaezoo.hooks import Variants, hookimpl, tags
from vaezoo.hyperparameters import Count, NonNegative, Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write, mlp, split_normal

Labels = Annotated[int, Field(ge=10, le=1000)]
BATCH = 128


class M2(nn.Module):
    """p(y) p(z₂) p(z₁|y, z₂) with p(y) uniform, and q(y|z₁) q(z₂|z₁, y), over codes z₁."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        d = spec.latent
        h = spec.hidden
        self.classes = spec.classes
        self.classifier = mlp(d, h, spec.classes)
        self.read = mlp(d + spec.classes, h, 2 * d)
        self.write = mlp(d + spec.classes, h, 2 * d)
        self.prior = StandardNormal(spec)

    def q_y(self, z1: Tensor) -> Classes:
        """q(y|z₁), over one-hot y (…, 1, C)."""
        return Classes(self.classifier(z1).unsqueeze(-2))

    def p_y(self, z1: Tensor) -> EqualClasses:
        return EqualClasses(z1.new_zeros(1, self.classes))

    def q_z2(self, z1: Tensor, y: Tensor) -> Distribution:
        """q(z₂|z₁, y), from y (…, C)."""
        return split_normal(self.read(torch.cat([z1, y], -1)))

    def p_z1(self, z2: Tensor, y: Tensor) -> Distribution:
        """p(z₁|y, z₂), from y (…, C)."""
        return split_normal(self.write(torch.cat([z2, y], -1)))

    def bounds(self, z1: Tensor) -> Tensor:
        """-L(z₁, y) of every class, (C, B), from codes (B, D) and one draw of z₂ each.

        -L(z₁, y) = log p(z₁|y, z₂) + log p(y) - KL(q(z₂|z₁, y) ‖ p(z₂))
        """
        each = torch.eye(self.classes, dtype=z1.dtype, device=z1.device)
        y = each[:, None].expand(-1, len(z1), -1)  # (C, B, C): class i for every row
        z1 = z1.expand(self.classes, *z1.shape)  # (C, B, D)
        q = self.q_z2(z1, y)
        z2, _ = draw(q)
        rate = kl(q, self.prior())
        assert rate is not None  # both are Gaussian
        return self.p_z1(z2, y).log_prob(z1) - math.log(self.classes) - rate

    def loss(self, z1: Tensor, y: Tensor, is_labelled: Tensor) -> Tensor:
        """The mean over rows of L(z₁, y) where the label may be read, of U(z₁) elsewhere.

        U(z₁) = Σ_y q(y|z₁) L(z₁, y) - H(q(y|z₁))
        """
        bounds = self.bounds(z1)  # (C, B)
        log_q = self.q_y(z1).log_p.squeeze(-2).T  # (C, B)
        supervised = -(y.T * bounds).sum(0)
        unsupervised = (log_q.exp() * (log_q - bounds)).sum(0)
        return torch.where(is_labelled, supervised, unsupervised).mean()

    def error(self, z1: Tensor, y: Tensor) -> Tensor:
        """The mean over rows of -log q(y|z₁), in nats."""
        return -self.q_y(z1).log_prob(y.unsqueeze(-2)).mean()


class FirstStage(Loss):
    """R + KL of M1 alone, with its own prior N(0, I)."""

    def __init__(self) -> None:
        super().__init__()
        self.elbo = ELBO()

    def check(self, model: Model) -> None:
        if not isinstance(model, M1M2):
            raise Unsupported(
                f"the loss of a first stage needs the variant m1m2, not {type(model).__name__}"
            )

    def forward(self, model: Model, x: Tensor, c: Tensor | None, progress: float) -> Terms:
        self.check(model)
        return self.elbo(model.first, x, c, progress)


class M1M2(Model):
    """`loss` trains p(x|z₁) and q(z₁|x), `fit_prior` the rest."""

    def __init__(
        self, spec: Spec, labels: int, alpha: float, epochs: int, learning_rate: float
    ) -> None:
        super().__init__(FirstStage())
        self.first = VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO())
        self.second = M2(spec).requires_grad_(False)
        self.labels = labels
        self.alpha = alpha
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.loss.check(self)

    def check(self) -> None:
        super().check()
        if not isinstance(self.loss, FirstStage):
            raise Unsupported(
                "M2 is trained after M1, against whose prior N(0, I) the loss of m1m2 trains; "
                f"{type(self.loss).__name__} would read the untrained one"
            )

    def classify(self, x: Tensor) -> Tensor:
        """log q(y|z₁) at the mean of q(z₁|x), (B, C)."""
        z1 = self.first.encoder(x).mean
        return self.second.q_y(z1).log_p.squeeze(-2)

    def infer(self, x: Tensor, c: Tensor | None = None, k: int = 1) -> Trace:
        m2 = self.second
        q_z1 = self.first.encoder(x)
        z1, log_q_z1 = draw(q_z1, (k,))
        q_y = m2.q_y(z1)
        y, log_q_y = draw(q_y)  # (K, B, 1, C)
        class_of = y.squeeze(-2)
        q_z2 = m2.q_z2(z1, class_of)
        z2, log_q_z2 = draw(q_z2)

        of_z1 = Latent(z1, log_q_z1, q_z1, m2.p_z1(z2, class_of), p_follows_z=True)
        of_y = Latent(y, log_q_y, q_y, m2.p_y(z1))
        of_z2 = Latent(z2, log_q_z2, q_z2, m2.prior())
        return Trace(x, self.first.decoder(z1), (of_z1, of_y, of_z2))

    def draw_px(self, n: int, c: Tensor | None = None) -> Distribution:
        z2 = self.second.prior().sample(torch.Size((n,)))
        y = self.second.p_y(z2).sample((n,)).squeeze(-2) if c is None else c  # (n, C)
        z1 = self.second.p_z1(z2, y).sample()
        return self.first.decoder(z1[None])

    def fit_prior(self, x: Tensor, c: Tensor | None = None) -> None:
        """Trains M2 on the posteriors of the training set; every step draws codes anew."""
        if c is None:
            raise Unsupported("m1m2 needs a label for every row")
        loc, scale = self._posteriors(x)
        labelled = balanced(c, self.labels)
        is_labelled = torch.zeros(len(c), dtype=torch.bool, device=c.device)
        is_labelled[labelled] = True

        def step_loss(rows: Tensor) -> Tensor:
            known = labelled[torch.randperm(len(labelled), device=loc.device)[:BATCH]]
            loss = self.second.loss(codes(rows), c[rows], is_labelled[rows])
            return loss + self.alpha * self.second.error(codes(known), c[known])

        def codes(rows: Tensor) -> Tensor:
            return draw(normal(loc[rows], scale[rows]))[0]

        self._train_second(len(loc), step_loss)

    @torch.enable_grad()
    def _train_second(self, n: int, step_loss: Callable[[Tensor], Tensor]) -> None:
        """`epochs` over n rows; from then on the second stage is as fixed as the first."""
        self.second.requires_grad_(True)
        parameters = list(self.second.parameters())
        optimiser = torch.optim.Adam(parameters, self.learning_rate, fused=True)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.epochs)
        for _ in range(self.epochs):
            for rows in torch.randperm(n, device=parameters[0].device).split(BATCH):
                optimiser.zero_grad(set_to_none=True)
                step_loss(rows).backward()
                optimiser.step()
            decay.step()
        optimiser.zero_grad(set_to_none=True)
        self.second.requires_grad_(False)

    @torch.no_grad()
    def _posteriors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of q(z₁|x), (N, D) each, a thousand rows at a time."""
        qs = [self.first.encoder(rows) for rows in x.split(1000)]
        return torch.cat([q.mean for q in qs]), torch.cat([q.stddev for q in qs])


def balanced(c: Tensor, labels: int) -> Tensor:
    """The indices of `labels` rows of c (N, C), as many of each class as there may be.

    The choice is fixed: it depends on c alone, not on a seed.
    """
    g = torch.Generator().manual_seed(14065298)
    order = torch.randperm(len(c), generator=g).to(c.device)
    order = order[c[order].sum(-1) > 0]  # others have no label
    of_class = c[order].argmax(-1)
    # a row's place among the rows of its class, so that all first ones come before the second ones
    place = (c[order].cumsum(0) - 1).gather(-1, of_class[:, None]).squeeze(-1)
    return order[place.argsort(stable=True)[:labels]]


@tags("labelled")
def m1m2(
    spec: Spec,
    labels: Labels = 100,
    alpha: NonNegative = 0.1,
    epochs: Count = 100,
    learning_rate: Positive = 2e-3,
) -> M1M2:
    """Learns from few labels on the codes of a VAE that was trained before, without labels.

    R + KL of M1; after it, on codes z₁ ~ q(z₁|x), E_labelled L(z₁, y) + E_others U(z₁) +
    α E_labelled[-log q(y|z₁)]

    `labels` rows of the training split are labelled, as many of each class as there may be, and no
    other label is read; rows of the data without a label are none of them. M2 is trained for
    `epochs` of Adam, at `learning_rate`, which falls by a cosine. Its three networks are its own:
    one hidden layer of the spec's width each.

    Paper: Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised Learning with Deep Generative
    Models", arXiv:1406.5298, §2.1: M1+M2, the stacked model; z₂ is as wide as z₁, and α is 0.1 N
    for sums over the data, 0.1 for means. A class is read off the mean of q(z₁|x).
    """
    if not spec.classes:
        raise Unsupported("needs labels; this data has none")
    return M1M2(spec, labels, alpha, epochs, learning_rate)


@hookimpl
def vaezoo_variants() -> Variants:
    return [m1m2]

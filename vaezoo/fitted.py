"""Densities that are fitted to codes after training, in float64 and in the codes' own scale.

Codes come as a network leaves them: one column may be constant, another of size 10⁶, and there may
be one row. So every column is standardised first, and what is added to a covariance to make it
positive is relative to the column's scale.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Scale", "fitted_mixture", "fitted_normal", "minimise"]

JITTER = 1e-6  # added to the variances of standardised codes
BATCH = 256  # rows of a step of `minimise`


class Scale:
    """Codes (N, D) with mean 0 and deviation 1, in their own type, and back.

    The deviation of a constant column, and of a single row, is taken to be a millionth of its size.
    """

    def __init__(self, z: Tensor) -> None:
        exact = z.double()
        mean = exact.mean(0)
        least = JITTER * mean.abs().clamp_min(JITTER)
        self.mean = mean.to(z)
        self.deviation = torch.maximum(exact.std(0, unbiased=False), least).to(z)

    def standard(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.deviation

    def restored(self, e: Tensor) -> Tensor:
        return self.mean + self.deviation * e


def fitted_normal(z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and the Cholesky factor (D, D) of the covariance of codes z (N, D), float64."""
    z = z.double()
    scale = Scale(z)
    e = scale.standard(z)
    e = e - e.mean(0)
    covariance = e.T @ e / max(1, len(z) - 1)
    tril = torch.linalg.cholesky(covariance + JITTER * torch.eye(z.shape[1]).to(z))
    return scale.mean, scale.deviation[:, None] * tril


def fitted_mixture(z: Tensor, parts: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log weights (M,), means (M, D) and Cholesky factors (M, D, D) of M = min(parts, N) Gaussians.

    By expectation maximisation on the standardised codes z (N, D); float64.
    """
    from sklearn.mixture import GaussianMixture  # a second of import that only this needs

    z = z.double()
    scale = Scale(z)
    parts = min(parts, len(z))
    found = GaussianMixture(parts, reg_covar=JITTER, max_iter=200, random_state=seed)
    e = scale.standard(z).cpu().numpy()
    # One row says nothing of a spread: twice the same row is what scikit-learn asks for at least.
    found.fit(e if len(e) > 1 else e.repeat(2, axis=0))
    tril = torch.linalg.cholesky(torch.as_tensor(found.covariances_)).to(z)
    return (
        torch.as_tensor(found.weights_).log().to(z),
        scale.restored(torch.as_tensor(found.means_).to(z)),
        scale.deviation[:, None] * tril,
    )


def minimise(
    net: nn.Module, rows: Tensor, cost: Callable[[Tensor], Tensor], steps: int, learning_rate: float
) -> None:
    """`steps` of Adam down the cost of batches of rows; the learning rate falls by a cosine."""
    adam = torch.optim.Adam(net.parameters(), learning_rate, fused=True)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    size = (min(BATCH, len(rows)),)
    for _ in range(steps):
        value = cost(rows[torch.randint(len(rows), size, device=rows.device)])
        adam.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        adam.step()
        decay.step()

"""The rate of each latent of a hierarchy: a layer near 0 nats has fallen to its prior.

vaezoo bench --variants ladder,vdvae,biva --metrics likelihood,layers
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...core import Latent, Unsupported
from ...hooks import Column, Metric, Table, hookimpl
from ..context import Evaluation

DRAWS = 4  # of each row: a closed KL hangs on the draws above it
MOST = 24  # columns


def layers(evaluation: Evaluation) -> Mapping[str, float]:
    """Σ log q - log p of each latent over its numbers, a mean over the test rows, the deepest
    first; in closed form given the draws above where there is one.

    The columns add up to kl but for the draws. Of more than 24 latents, the last column has the
    rest.
    """
    if evaluation.no_density:
        raise Unsupported(evaluation.no_density)
    with torch.no_grad():
        parts = [
            rates(evaluation.model.infer(x, c, DRAWS).latents) for x, c in evaluation.batches(DRAWS)
        ]
    of_rows = torch.cat(parts, 1).double()  # (L, N)
    if len(of_rows) < 2:
        raise Unsupported("one latent: its rate is kl")
    mean = of_rows.mean(1)
    first = [*mean[: MOST - 1], mean[MOST - 1 :].sum()] if len(mean) > MOST else list(mean)
    found = {f"kl_{i}": float(value) for i, value in enumerate(first, 1)}
    for i in range(len(found) + 1, MOST + 1):
        evaluation.say(f"kl_{i}", f"{len(mean)} latents")
    return found


def rates(latents: tuple[Latent, ...]) -> Tensor:
    """(L, B): KL of each latent, the mean over draws."""
    of_each = []
    for latent in latents:
        kl = latent.kl
        of_each.append(kl if kl.ndim == 1 else kl.mean(0))
    return torch.stack(of_each)


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = tuple(Column(f"kl_{i}", "nats", "") for i in range(1, MOST + 1))
    table = Table("layers", "Rate of each latent", order=45)
    return [Metric("layers", columns, layers, table, asked=True, rests_on="q,p")]

"""What data sets of linear Gaussian states share."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated

from pydantic import Field
from torch import Tensor

from ..core import Spec
from .data import Card, Data, by_split
from .kalman import LinearGaussian, log_likelihood

Missing = Annotated[float, Field(ge=0, lt=1)]  # the share that is left out


def of_states(
    name: str,
    model: LinearGaussian,
    x: Mapping[str, Tensor],
    card: Card,
    missing: float,
    times: tuple[float, ...] = (),
) -> Data:
    """The data set of sequences x (N, T, C) by split that were drawn from `model`, of which the
    filter knows log p(x), the share `missing` of them NaN.
    """
    rows, steps, channels = x["train"].shape
    spec = Spec(
        (steps, channels),
        "normal",
        rows,
        has_gaps=missing > 0,
        latent=max(len(model.mean), 2),
        hidden=64,
        network="rnn",
        times=times,
    )
    return Data(
        name=name,
        spec=spec,
        card=card,
        budget={"epochs": 100, "learning_rate": 2e-3, "patience": 15},
        exact=partial(log_likelihood, model=model),
        **by_split(x),
    )

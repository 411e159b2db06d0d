"""Samples against the data: Fréchet distance and kin, in the features of `features.py`.

The column is called `fid` for short. It is not the distance in Inception's features, and compares
only rows of one data set with one extractor, whose hash stands in the settings, and one number of
samples.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...data.data import Data
from ...hooks import Column, Metric, hookimpl
from ...seeds import generator_for
from ..context import Evaluation
from ..distances import NEIGHBOURS, frechet, kernel_distance, neighbourhoods
from ..features import Extractor, as_seen, extractor_for

SMALLEST = NEIGHBOURS + 3  # rows below which neighbourhoods and the standard error mean nothing


def sample_scores(real: Tensor, fake: Tensor) -> dict[str, float]:
    """Every score of fake features (M, D) against real ones (N, D)."""
    distance, error = kernel_distance(real, fake)
    return {
        "fid": frechet(real, fake),
        "kid": distance,
        "kid_se": error,
        **neighbourhoods(real, fake),
    }


def samples(evaluation: Evaluation) -> Mapping[str, float]:
    """Fréchet and kernel distance, precision, recall, density and coverage of samples against the
    split.
    """
    columns = ("fid", "fid_random", "kid", "kid_se", "precision", "recall", "density", "coverage")
    reason = _cannot(evaluation)
    if reason:
        for column in columns:
            evaluation.say(column, reason)
        return {}
    extractor = evaluation.extractor
    evaluation.settings |= {
        "extractor": extractor.words,
        "extractor_sha256": extractor.hash,
        "features": extractor.real(evaluation.split).shape[1],
        "neighbours": NEIGHBOURS,
    }
    return _scores(extractor, evaluation.random_extractor, evaluation.split, evaluation.samples)


def _cannot(evaluation: Evaluation) -> str:
    if evaluation.n_samples < SMALLEST:
        return f"{evaluation.n_samples} rows are too few to compare"
    if evaluation.data.spec.has_gaps and not evaluation.data.spec.is_sequence:
        return "the data has missing entries"
    if (evaluation.samples.isnan() & ~evaluation.x[: evaluation.n_samples].cpu().isnan()).any():
        return "the model's samples are not finite"
    return ""


def _scores(extractor: Extractor, random: Extractor, split: str, fake: Tensor) -> dict[str, float]:
    scores = sample_scores(extractor.real(split)[: len(fake)], extractor(fake))
    return scores | {"fid_random": frechet(random.real(split)[: len(fake)], random(fake))}


def controls(
    data: Data, seed: int = 0, split: str = "test", cache: Path | None = None
) -> dict[str, dict[str, float]]:
    """The control rows of the sample table: row -> column -> number. They depend on the data alone.

    Where there are few rows one draw of them says little, so that each number is a mean over
    several.
    """
    extractor = extractor_for(data, cache)
    random = extractor_for(data, cache, trained=False)
    n = min(len(data.split(split)), 10_000)
    draws = range(seed, seed + (5 if n <= 1000 else 1))
    rows = {}
    for name, make in CONTROLS.items():
        scores = [
            _scores(extractor, random, split, _as_long(make(data, n, draw), data, split))
            for draw in draws
        ]
        rows[name] = {column: sum(s[column] for s in scores) / len(scores) for column in scores[0]}
    return rows


def _as_long(x: Tensor, data: Data, split: str) -> Tensor:
    """Made-up sequences with the padding of the split's own rows; real rows keep theirs."""
    if not data.spec.has_gaps or x.isnan().any():
        return x
    return torch.where(data.split(split)[: len(x)].isnan(), torch.nan, x)


def _floor(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "floor", data.name, seed)
    return as_seen(data, "train")[torch.randperm(len(data.train), generator=g)[:n]]


def _copy(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "copy", data.name, seed)
    return as_seen(data, "train")[torch.randint(len(data.train), (n,), generator=g)]


def _noise(data: Data, n: int, seed: int) -> Tensor:
    seen = data.train[~data.train.isnan()]
    g = generator_for("controls", "noise", data.name, seed)
    return seen.mean() + seen.std() * torch.randn(n, *data.spec.shape, generator=g)


def _independent(data: Data, n: int, seed: int) -> Tensor:
    g = generator_for("controls", "independent", data.name, seed)
    if data.spec.likelihood == "bernoulli":
        return torch.bernoulli(_rates(data.train).expand(n, *data.spec.shape), generator=g)
    mean, deviation = _moments(data.train)
    return mean + deviation * torch.randn(n, *mean.shape, generator=g)


CONTROLS: dict[str, Callable[[Data, int, int], Tensor]] = {
    "test vs train (floor)": _floor,  # training rows, each at most once
    # training rows drawn with replacement, as a model that memorised them would
    "copy of the training set": _copy,
    "Gaussian noise": _noise,  # with the mean and deviation of all entries
    "independent pixels": _independent,  # every entry on its own
}


def _rates(x: Tensor) -> Tensor:
    """The mean of every bit, kept off 0 and 1 by one made-up row of each."""
    seen = ~x.isnan()
    return (torch.where(seen, x, 0.0).sum(0) + 1) / (seen.sum(0) + 2)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every entry, from the rows that have it."""
    seen = ~x.isnan()
    count = seen.sum(0).clamp_min(1)
    mean = torch.where(seen, x, 0.0).sum(0) / count
    spread = torch.where(seen, (x - mean).square(), 0.0).sum(0) / count
    return mean, spread.sqrt().clamp_min(1e-3)


def independent_log_p(data: Data, split: str = "test") -> Tensor | None:
    """log p(x) in nats with every entry on its own, (N,), by the training split's moments; None for
    other likelihoods.
    """
    x = data.split(split)
    if data.spec.likelihood == "bernoulli":
        rates = _rates(data.train)
        log_p = x * rates.log() + (1 - x) * (1 - rates).log()
    elif data.spec.likelihood == "normal":
        mean, deviation = _moments(data.train)
        log_p = torch.distributions.Normal(mean, deviation, validate_args=False).log_prob(x)
    else:
        return None
    return torch.where(x.isnan(), 0.0, log_p).double().flatten(1).sum(1)


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    columns = (
        Column("fid", "", "lower", "fid", 3),
        Column("fid_random", "", "lower", "fid", 3),
        Column("kid", "", "lower", "fid", 4),
        Column("kid_se", "", "", "fid", 4),
        Column("precision", "", "higher", "fid", 3),
        Column("recall", "", "higher", "fid", 3),
        Column("density", "", "higher", "fid", 3),
        Column("coverage", "", "higher", "fid", 3),
    )
    return [Metric("samples", columns, samples)]

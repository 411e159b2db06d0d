"""Samples against the data: Fréchet distance and kin, in the features of `features.py`.

The column is called `fid` for short. It is not the distance in Inception's features, and compares
only rows of one data set with one extractor, whose hash stands in the settings, and one number of
samples.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ...core import Unsupported
from ...data.data import Data
from ...hooks import EXTRACTOR, Column, Metric, Table, hookimpl
from ...seeds import generator_for
from ..baselines import CONTROLS, as_there, mean_of
from ..context import Evaluation
from ..distances import (
    NEIGHBOURS,
    copied,
    frechet,
    frechet_of_infinitely_many,
    kernel_distance,
    nearest,
    neighbourhoods,
    radii,
)
from ..entries import cached
from ..features import Extractor, extractor_for
from ..subset import some_rows

FLOORS = 5  # draws of training rows, of whose distances the floor is the mean
NEAREST = 10_000  # training rows among which the nearest is looked for
SMALLEST = NEIGHBOURS + 3  # rows below which neighbourhoods and the standard error mean nothing


def sample_scores(real: Tensor, fake: Tensor, of_real: Tensor | None = None) -> dict[str, float]:
    """Every score of fake features (M, D) against real ones (N, D), whose radii are `of_real` where
    they are known.
    """
    distance, error = kernel_distance(real, fake)
    return {
        "fid": frechet(real, fake),
        "kid": distance,
        "kid_se": error,
        **neighbourhoods(real, fake, of_real=of_real),
    }


def samples(evaluation: Evaluation) -> Mapping[str, float]:
    """Fréchet and kernel distance, precision, recall, density and coverage of samples against the
    split.
    """
    reason = _cannot(evaluation)
    if reason:
        raise Unsupported(reason)
    extractor = evaluation.extractor
    evaluation.settings |= {
        "extractor": extractor.words,
        EXTRACTOR: extractor.hash,
        "features": extractor.real(evaluation.split).shape[1],
        "neighbours": NEIGHBOURS,
    }
    rows = evaluation.beside_samples.rows
    if len(rows) < 4 * extractor.real(evaluation.split).shape[1]:
        evaluation.say("fid_infinite", "too few rows for a line in 1/n")
    if not extractor.trained:
        evaluation.say("fid_random", "the data has no labels, so that fid is by this network")
    return _scores(
        extractor, evaluation.random_extractor, evaluation.split, rows, evaluation.samples
    )


def _cannot(evaluation: Evaluation) -> str:
    if evaluation.n_samples < SMALLEST:
        return f"{evaluation.n_samples} rows are too few to compare"
    if evaluation.data.spec.has_gaps and not evaluation.data.spec.is_sequence:
        return "the data has missing entries"
    if (evaluation.samples.isnan() & ~evaluation.beside_samples.x.cpu().isnan()).any():
        return "the model's samples are not finite"
    return ""


def _scores(
    extractor: Extractor, random: Extractor, split: str, rows: Tensor, fake: Tensor
) -> dict[str, float]:
    """The scores of made-up x against these rows of the split; by the random network too, where it
    is another one.
    """
    real = extractor.real(split)[rows]
    found = extractor(fake)
    known = _of_real(extractor, split, rows)
    scores = sample_scores(real, found, known["radii"])
    scores |= _beyond_the_floor(extractor, real, found, known["nearest"])
    if not extractor.trained:
        return scores
    return scores | {"fid_random": frechet(random.real(split)[rows], random(fake))}


def _of_real(extractor: Extractor, split: str, rows: Tensor) -> dict[str, Tensor]:
    """Of these rows of the split, (N,) each: the radii of their neighbourhoods, and how far the
    nearest training row is. Computed once, read from the cache after.
    """

    def made() -> dict[str, Tensor]:
        real = extractor.real(split)[rows]
        return {
            "radii": radii(real),
            "nearest": nearest(real, _training_rows(extractor)),
        }

    asked = f"{split}-{len(rows)}-{NEIGHBOURS}-{NEAREST}-{extractor.hash[:16]}"
    return cached(extractor.folder / f"distances-{asked}.safetensors", made)


def _training_rows(extractor: Extractor) -> Tensor:
    """The features of those among which the nearest is looked for."""
    return extractor.real("train")[some_rows(extractor.data, "train", NEAREST)]


def _beyond_the_floor(
    extractor: Extractor, real: Tensor, fake: Tensor, of_test: Tensor
) -> dict[str, float]:
    """The Fréchet distance less that of as many training rows, and at infinitely many rows; and the
    share of samples that are nearer to a training row than test rows are, which are `of_test` from
    theirs.
    """
    data = extractor.data
    train = extractor.real("train")
    g = generator_for("floor", data.identity)
    floor = 0.0
    for _ in range(FLOORS):
        others = train[torch.randperm(len(train), generator=g)[: len(fake)]]
        floor += frechet(real, others) / FLOORS
    answer = {
        "fid_above_floor": frechet(real, fake) - floor,
        "copied": copied(nearest(fake, _training_rows(extractor)), of_test),
    }
    if min(len(real), len(fake)) < 4 * real.shape[1]:
        return answer
    return answer | {"fid_infinite": frechet_of_infinitely_many(real, fake, g)}


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
        fakes = [as_long(make(data, n, draw), data, split) for draw in draws]
        beside = some_rows(data, split, len(fakes[0]))
        rows[name] = mean_of([_scores(extractor, random, split, beside, fake) for fake in fakes])
    return rows


def as_long(x: Tensor, data: Data, split: str) -> Tensor:
    """Made-up sequences with the padding of the split's own rows; real rows keep theirs."""
    if not data.spec.has_gaps or x.isnan().any():
        return x
    real = data.split(split)[some_rows(data, split, len(x))]
    return as_there(x, real)


_score = partial(Column, unit="", digits=3, one_extractor=True)
_share = partial(_score, better="higher", low=0, high=1)
COLUMNS = (
    _score("fid", better="lower", lead=1, panel=True, low=0),
    _score("fid_random", better="lower", low=0),
    _score("fid_above_floor", better=""),
    _score("fid_infinite", better=""),
    _share("copied", better=""),
    _score("kid", better="lower", digits=4, lead=2),
    _score("kid_se", better="", digits=4, low=0),
    _share("precision", lead=3),
    _share("recall", lead=4),
    _score("density", better="higher", lead=5, low=0),
    _share("coverage", lead=6),
)


@hookimpl
def vaezoo_metrics() -> list[Metric]:
    table = Table("fid", "Samples (Fréchet distance and kin)", order=3, always=True)
    return [Metric("samples", COLUMNS, samples, table, of="samples", controls=controls)]

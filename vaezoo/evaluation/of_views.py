"""One view of a data set as a data set of its own, and what tells its class."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..data.data import SPLITS, Data, by_split
from ..seeds import generator_for
from ..views import are_there, spec_of_view, split_views
from .features import extractor_for

ROWS = 5000  # of train, at most, that the classifier's last layer is fitted to

Classifier = Callable[[Tensor], Tensor]  # x of a view (N, *view.shape) -> its classes (N,)


def data_of_view(data: Data, i: int) -> Data:
    """View `i` of the rows that have it, of every split."""
    view = data.spec.views[i]
    x = {}
    labels = {}
    for split in SPLITS:
        rows = data.split(split)
        there = are_there(rows, data.spec)[i]
        x[split] = split_views(rows, data.spec)[i][there].contiguous()
        if data.labels:
            labels[split] = data.labels[split][there]
    spec = replace(spec_of_view(data.spec, view), n_train=len(x["train"]))
    name = f"{data.identity}/{view.name}"
    return Data(name=name, spec=spec, card=data.card, labels=labels, **by_split(x))


def classifiers_of(data: Data, cache: Path | None = None) -> list[Classifier]:
    """What tells the class of each view: a logistic regression on the features in which samples of
    that view alone would be compared.
    """
    return [_classifier(data_of_view(data, i), cache) for i in range(len(data.spec.views))]


def _classifier(data: Data, cache: Path | None) -> Classifier:
    from sklearn.linear_model import LogisticRegression

    extractor = extractor_for(data, cache)
    order = torch.randperm(len(data.train), generator=generator_for("view classifier", data.name))
    rows = order[:ROWS]
    features = extractor.real("train")[rows].numpy()
    fitted = LogisticRegression(max_iter=500).fit(features, data.labels["train"][rows].numpy())

    def classes(x: Tensor) -> Tensor:
        return torch.from_numpy(fitted.predict(extractor(x).numpy()))

    return classes

"""The card of a data set: all that a reader of a table must know of the data, ready for JSON."""

from .data import SPLITS, Data
from .splits import duplicates


def card_of(data: Data) -> dict[str, object]:
    """Name, shape, rows and hash of each split, licence, source, processing, duplicates; lists,
    strings and numbers only.
    """
    counted = data.duplicates if data.duplicates is not None else duplicates(data.train, data.test)
    return {
        "name": data.name,
        "title": data.card.title,
        "shape": list(data.spec.shape),
        "likelihood": data.spec.likelihood,
        "is_dynamic": data.spec.is_dynamic,
        "has_gaps": data.spec.has_gaps,
        "rows": {split: len(data.split(split)) for split in SPLITS},
        "classes": data.spec.classes,
        "sha256": dict(data.hashes),
        "split_sha256": data.split_hash,
        "duplicates_train_test": counted,
        "log_density_known": data.exact is not None,
        "source": data.card.source,
        "licence": data.card.licence,
        "processing": data.card.processing,
        "notes": list(data.card.notes),
    }

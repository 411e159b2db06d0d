"""The card of a data set: all that a reader of a table must know of the data, ready for JSON."""

from .data import SPLITS, Data


def card_of(data: Data) -> dict[str, object]:
    """Sizes, values, source, licence, processing and hashes by their names in plain words; lists,
    strings and numbers only.
    """
    spec = data.spec
    card = data.card
    facts = {
        "data set": data.name,
        "title": card.title,
        "shape": list(spec.shape),
        "likelihood": spec.likelihood,
        "classes": spec.classes,
        "sizes": {split: list(data.split(split).shape) for split in SPLITS},
    }

    values = {
        "binarised anew in every minibatch": spec.is_dynamic,
        "has gaps": spec.has_gaps,
        "log p(x) is known": data.exact is not None,
        "test rows that are in train too": data.duplicates,
    }
    origin = {
        "source": card.source,
        "licence": card.licence,
        "processing": card.processing,
        "notes": list(card.notes),
    }
    hashes = {"SHA-256": dict(data.hashes), "SHA-256 of the split": data.split_hash}
    return facts | origin | values | hashes

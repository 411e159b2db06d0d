"""What generated data sets share."""

GENERATED = "generated here from a fixed seed"
LICENCE = "MIT, as vaezoo"


def sizes(rows: int) -> dict[str, int]:
    """Rows of each split: a fifth of the training rows, at least one, for each of the others."""
    others = max(rows // 5, 1)
    return {"train": rows, "validation": others, "test": others}


def sizes_in_words(rows: int) -> str:
    """Such as "4000/800/800 rows"."""
    return f"{'/'.join(map(str, sizes(rows).values()))} rows"

"""newcomer: a figure; say here in one sentence what it shows."""

from typing import Any

from vaezoo.hooks import Figure, hookimpl


def newcomer(material: Any) -> Any:
    """Training seconds of every row that is done. Draw your figure here; None where there is
    nothing to draw.
    """
    from matplotlib.figure import Figure as Canvas

    if not material.rows:
        return None
    canvas = Canvas(figsize=(4, 3))
    axes = canvas.subplots()
    names = [row.name for row in material.rows]
    axes.barh(names, [row.interval("train_seconds").mean for row in material.rows])
    axes.set_xlabel("training (s)")
    return canvas


@hookimpl
def vaezoo_figures() -> list[Figure]:
    return [Figure("newcomer", newcomer)]

"""Data sets: one source a file, each with a card, fixed splits, and its own checks.

`SOURCES` names the modules that bring the built-in data sets; nothing heavy is imported here.
"""

SOURCES = tuple(
    f"vaezoo.data.{name}"
    for name in (
        "digits", "sprites", "mnist", "freyfaces", "polyphonic", "bouncing_ball", "lgssm", "slds", "gaussian", "pinwheel",
        "arrays",
    )
)  # fmt: skip

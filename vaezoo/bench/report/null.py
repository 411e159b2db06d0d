"""How often the rule for bold errs where all rows are equal, by simulation of the whole rule.

    python -m vaezoo.bench.report.null > results/null.md     a Markdown table of `TABLES`

Every column has rows of one mean. The rule errs where it calls at least one of them worse.
"""

import math
from dataclasses import dataclass

import numpy as np

from .best import Array, best_rows


@dataclass(frozen=True)
class Equals:
    """A kind of column: the standard deviation over seeds of each of its rows, and the seeds."""

    name: str
    spread: Array
    seeds: int


def _one_noisy(rows: int) -> Array:
    return np.array([8.0] + [1.0] * (rows - 1))


# The spread over seeds of nll on digits goes from 0.013 to 0.86 nats over its 65 rows.
WIDE = np.geomspace(0.013, 0.86, 65)
TABLES = (
    Equals("10 rows, 5 seeds", np.ones(10), 5),
    Equals("12 rows, 3 seeds", np.ones(12), 3),
    Equals("78 rows, 3 seeds", np.ones(78), 3),
    Equals("78 rows, 6 seeds", np.ones(78), 6),
    Equals("65 rows, 3 seeds, spread as on digits", WIDE, 3),
    Equals("65 rows, 6 seeds, spread as on digits", WIDE, 6),
    Equals("10 rows, 5 seeds, one of 8 times the spread", _one_noisy(10), 5),
    Equals("12 rows, 3 seeds, one of 8 times the spread", _one_noisy(12), 3),
    Equals("78 rows, 3 seeds, one of 8 times the spread", _one_noisy(78), 3),
    Equals("78 rows, 6 seeds, one of 8 times the spread", _one_noisy(78), 6),
    Equals("3 rows, 6 seeds", np.ones(3), 6),
    Equals("2 rows, 3 seeds", np.ones(2), 3),
)


def errs(table: Equals, columns: int, worse: float = 0.0) -> tuple[float, float]:
    """(share of columns in which an equal row is called worse, share in which the last row is).

    `worse` is how far the last row truly lies above the others, in its own deviations.
    """
    generator = np.random.default_rng(0)
    rows = len(table.spread)
    wrong = 0
    found = 0
    for _ in range(columns):
        values = generator.normal(size=(rows, table.seeds)) * table.spread[:, None]
        values[-1] += worse * table.spread[-1]
        samples = {str(i): dict(enumerate(row)) for i, row in enumerate(values.tolist())}
        bold = best_rows(samples, "lower").rows
        wrong += len(bold - {str(rows - 1)}) < rows - 1 or (not worse and len(bold) < rows)
        found += str(rows - 1) not in bold
    return wrong / columns, found / columns


def markdown(columns: int = 2000) -> str:
    """The rates of `TABLES`, with their standard errors, as a Markdown table."""
    lines = [
        "| all means equal | calls an equal row worse | sees a row 4 deviations worse |",
        "|---|---:|---:|",
    ]
    for table in TABLES:
        rate, _ = errs(table, columns)
        _, power = errs(table, columns // 10, worse=4.0)
        error = math.sqrt(max(rate * (1 - rate), 1e-4) / columns)
        lines.append(f"| {table.name} | {rate:.1%} ± {error:.1%} | {power:.0%} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")

"""What the verbs of one model show and write: the epochs of a training, arrays, pictures."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..data.kept import umask, written_aside
from .common import echo
from .drawing import draw, in_rows

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from ..data.reader import Reader


EVERY = 10.0  # seconds between two lines of a log file


TABLES = (".csv", ".parquet")


class Epochs:
    """The epoch and the losses on stderr: a bar on a terminal, elsewhere a line every so often."""

    def __enter__(self) -> "Epochs":
        self.bar: Any = None
        self.began = self.told = time.monotonic()
        return self

    def __call__(self, epoch: int, epochs: int, row: dict[str, float]) -> None:
        if not sys.stderr.isatty():
            return self._tell(epoch, epochs, row)
        from tqdm import tqdm

        self.bar = self.bar or tqdm(total=epochs, unit="epoch", dynamic_ncols=True)
        self.bar.set_postfix(
            train=f"{row['train_loss']:.2f}", validation=f"{row['validation_loss']:.2f}"
        )
        self.bar.update()

    def _tell(self, epoch: int, epochs: int, row: dict[str, float]) -> None:
        now = time.monotonic()
        if now - self.told < EVERY:
            return
        self.told = now
        left = (now - self.began) / epoch * (epochs - epoch)
        losses = f"train {row['train_loss']:.2f}, validation {row['validation_loss']:.2f}"
        echo(f"epoch {epoch} of {epochs}: {losses}; at most {left:.0f} s left", err=True)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def pairs(x: "Tensor", means: "Tensor", width: int = 8) -> "Tensor":
    """(2·⌈N/width⌉·width, *shape): a row of x, then the row of what it became."""
    import torch

    return torch.stack([in_rows(x, width), in_rows(means, width)], 1).flatten(0, 2)


def write(out: Path, arrays: "dict[str, Tensor]", pictures: "Tensor | None" = None) -> None:
    """Write the arrays to NAME.npz, x to NAME.npy, or the pictures to NAME.png; say the shapes."""
    import numpy as np

    with written_aside(out) as aside:
        aside.chmod(0o666 & ~umask())
        if out.suffix == ".png" and pictures is not None:
            draw(aside, pictures)
        else:
            with aside.open("wb") as file:  # given a name, numpy would lengthen it
                if out.suffix == ".npy":
                    np.save(file, arrays["x"].cpu().numpy())
                else:
                    values: dict[str, Any] = {
                        n: tensor.cpu().numpy() for n, tensor in arrays.items()
                    }
                    np.savez_compressed(file, **values)
    echo(f"{out}: {', '.join(f'{name} {tuple(t.shape)}' for name, t in arrays.items())}")


def write_table(
    out: Path,
    arrays: "dict[str, Tensor]",
    reader: "Reader",
    rows: tuple[str, ...] = (),
    labels: Any = None,
) -> None:
    """Write a table, one line a row: its name and its label where they are known, and the
    numbers of all arrays, called z0_0, z0_1, …
    """
    import pandas as pd

    frames = []
    for name, tensor in arrays.items():
        values = tensor.cpu().flatten(1).double()
        called = [f"{name}_{i}" for i in range(values.shape[1])]
        frames.append(pd.DataFrame(values.numpy(), columns=called))
    write_frame(out, pd.concat(frames, axis=1), reader, rows, labels)


def framed(values: "Tensor", reader: "Reader") -> "pd.DataFrame":
    """Values (N, …) of a file as a table: with the words and names of a mixed one, a line for each
    step of sequences whose channels have names, else a column for each number. Its index says the
    row.
    """
    import pandas as pd

    from ..data.coding import worded

    if reader.columns:
        return worded(values, reader.columns)
    if values.ndim == 3 and len(reader.names) == values.shape[-1]:
        return _steps(values, reader)
    flat = values.cpu().flatten(1).double()
    is_named = len(reader.names) == flat.shape[1]
    names = reader.names if is_named else tuple(f"x_{i}" for i in range(flat.shape[1]))
    return pd.DataFrame(flat.numpy(), columns=list(names))


def _steps(values: "Tensor", reader: "Reader") -> "pd.DataFrame":
    """A line for each step of sequences (N, T, C), without the padding at their ends; beside it its
    number, or its time where the file had steps at their times.
    """
    import pandas as pd

    from ..steps import step_mask

    said = reader.table.get("times")
    counts = [float(time) for time in said.split("+")] if said else range(values.shape[1])
    pieces = []
    lengths = step_mask(values).sum(1).tolist()
    for row, (steps, length) in enumerate(zip(values.cpu().double(), lengths, strict=True)):
        piece = pd.DataFrame(
            steps[:length].numpy(), columns=list(reader.names), index=[row] * length
        )
        piece.insert(0, "time" if said else "step", counts[:length])
        pieces.append(piece)
    return pd.concat(pieces)


def named_rows(reader: "Reader", rows: tuple[str, ...], words: Any) -> "pd.DataFrame":
    """The names and the labels of rows, where they are known, called `row` and `label`; of a mixed
    table as the file calls them.
    """
    import pandas as pd

    own = bool(reader.columns)
    table = pd.DataFrame()
    if rows:
        table[(own and reader.table.get("id")) or "row"] = list(rows)
    if words is not None:
        table[(own and reader.label) or "label"] = list(map(str, words.tolist()))
    return table


def write_frame(
    out: Path,
    frame: "pd.DataFrame",
    reader: "Reader",
    rows: tuple[str, ...] = (),
    words: Any = None,
) -> None:
    """Write a table: of each line of the frame the name and the label of its row, where they are
    known, and its columns.
    """
    import pandas as pd

    known = named_rows(reader, rows, words)
    if frame.index.has_duplicates and known.empty:
        known = pd.DataFrame({"row": range(frame.index.max() + 1)})  # tells sequences apart
    beside = known if known.empty else known.loc[frame.index]
    table = pd.concat([beside.reset_index(drop=True), frame.reset_index(drop=True)], axis=1)
    with written_aside(out) as aside:
        aside.chmod(0o666 & ~umask())
        save_table(table, aside, out)
    echo(f"{out}: {len(table)} rows of {', '.join(map(str, table.columns[:8]))}"
               + (", …" if len(table.columns) > 8 else ""))  # fmt: skip


def save_table(table: "pd.DataFrame", to: Path, out: Path) -> None:
    """Write it to a file in the form that the ending of `out` asks for, one of TABLES.

    Raises: click.UsageError where Parquet cannot be written here.
    """
    if out.suffix != ".parquet":
        return table.to_csv(to, index=False)
    try:
        table.to_parquet(to, index=False)
    except ImportError:
        raise click.UsageError(
            f"writing {out} needs pyarrow; install it (pip install 'vaezoo[parquet]') or write .csv"
        ) from None

"""The logger `tensorboard`: event files, a folder a trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....hooks import Logger, hookimpl
from ..naming import file_name, needs, settings


def tensorboard(folder: str = "") -> Logger:
    """Event files for TensorBoard, in `folder`; unless given, in OUT/tensorboard."""
    needs("tensorboard", "tensorboard")

    def begin(trial: Mapping[str, Any], out: Path) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(Path(folder or out / "tensorboard") / file_name(trial)))
        lines = [f"* {name}: {value}" for name, value in settings(trial).items()]
        writer.add_text("trial", "\n".join(lines))
        return writer

    return Logger("tensorboard", begin, epoch, end)


def epoch(writer: Any, row: Mapping[str, float]) -> None:
    for name, value in row.items():
        if name != "epoch":
            writer.add_scalar(name.replace("_", "/", 1), value, int(row["epoch"]))


def end(writer: Any, status: str, metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        writer.add_scalar(f"test/{name}", value, 0)
    writer.add_text("status", status)
    writer.close()


@hookimpl
def vaezoo_loggers() -> list[Any]:
    return [tensorboard]

"""The logger `wandb`: a run of Weights & Biases a trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....hooks import Logger, hookimpl
from ..naming import needs, settings, title


def wandb(project: str = "vaezoo", entity: str = "", mode: str = "") -> Logger:
    """Runs of Weights & Biases; `mode` is online, offline or disabled, unless given that of
    $WANDB_MODE. Its files are in OUT/wandb.
    """
    needs("wandb", "wandb")

    def begin(trial: Mapping[str, Any], out: Path) -> Any:
        import wandb as client

        given = {"entity": entity, "mode": mode}
        return client.init(
            project=project,
            name=title(trial),
            config=settings(trial),
            dir=str(out),
            reinit="create_new",  # trials side by side are runs side by side
            **{name: value for name, value in given.items() if value},
        )

    return Logger("wandb", begin, epoch, end)


def epoch(run: Any, row: Mapping[str, float]) -> None:
    losses = {name: value for name, value in row.items() if name != "epoch"}
    run.log(losses, step=int(row["epoch"]))


def end(run: Any, status: str, metrics: Mapping[str, float]) -> None:
    run.summary.update({f"test/{name}": value for name, value in metrics.items()})
    run.summary["status"] = status
    run.finish(exit_code=0 if status == "done" else 1)


@hookimpl
def vaezoo_loggers() -> list[Any]:
    return [wandb]

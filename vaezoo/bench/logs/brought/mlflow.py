"""The logger `mlflow`: a run of MLflow a trial."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....hooks import Logger, hookimpl
from ..naming import needs, settings, title

STATUS = {"done": "FINISHED", "cancelled": "KILLED"}  # what else there is has failed


@dataclass(frozen=True)
class Run:
    client: Any
    id: str


def mlflow(uri: str = "", experiment: str = "vaezoo") -> Logger:
    """Runs of MLflow at `uri`; unless given, at $MLFLOW_TRACKING_URI, else in OUT/mlflow.db."""
    needs("mlflow", "mlflow")

    def begin(trial: Mapping[str, Any], out: Path) -> Run:
        from mlflow.tracking import MlflowClient

        where = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{out / 'mlflow.db'}"
        client = MlflowClient(tracking_uri=where)
        there = client.get_experiment_by_name(experiment)
        found = there.experiment_id if there else client.create_experiment(experiment)
        run = Run(client, client.create_run(found, run_name=title(trial)).info.run_id)
        for name, value in settings(trial).items():
            client.log_param(run.id, name, str(value)[:500])  # as many letters as it takes
        return run

    return Logger("mlflow", begin, epoch, end)


def epoch(run: Run, row: Mapping[str, float]) -> None:
    for name, value in row.items():
        if name != "epoch" and math.isfinite(value):
            run.client.log_metric(run.id, name, value, step=int(row["epoch"]))


def end(run: Run, status: str, metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        if math.isfinite(value):
            run.client.log_metric(run.id, f"test_{name}", value)
    run.client.set_terminated(run.id, STATUS.get(status, "FAILED"))


@hookimpl
def vaezoo_loggers() -> list[Any]:
    return [mlflow]

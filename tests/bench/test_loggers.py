"""Loggers: what they are told, and that nothing they do costs a trial."""

import json
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vaezoo.bench.logs import outbox as sending
from vaezoo.bench.logs.brought import (
    mlflow as of_mlflow,
    tensorboard as of_tensorboard,
    wandb as of_wandb,
)
from vaezoo.bench.logs.sender import Sender
from vaezoo.bench.printed_log import GROWN, WHOLE
from vaezoo.cli import vaezoo
from vaezoo.hooks import Logger
from vaezoo.registry.registry import load_registry

from .test_plan import TRIAL as PLANNED

WORDS = "bench --variants vae --epochs 2 --metrics likelihood,cost --importance-samples 2"
LOGGER = """
import json, os, time
from vaezoo.hooks import Logger, hookimpl

def begin(trial, out):
    file = open(out / f"told-{trial['seed']}.jsonl", "a")
    print(json.dumps(["begin", trial["variant"], trial["seed"], out.name]), file=file, flush=True)
    return file

def epoch(file, row):
    print(json.dumps(["epoch", row["epoch"], "validation_loss" in row]), file=file, flush=True)

def end(file, status, metrics):
    print(json.dumps(["end", status, "elbo" in metrics]), file=file, flush=True)

def raises(trial, out):
    raise RuntimeError("the server is away")

def hangs(trial, out):
    print("falls asleep", flush=True)
    time.sleep(3600)

def dies(trial, out):
    os._exit(3)

def nothing(*_):
    pass

@hookimpl
def vaezoo_loggers():
    ills = [Logger(f.__name__, f, nothing, nothing) for f in (raises, hangs, dies)]
    return [Logger("keeps", begin, epoch, end), *ills]
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "loggers.py").write_text(LOGGER)
    return folder


def bench(out: Path, plugins: Path, *more: str) -> Result:
    words = [*WORDS.split(), "--no-figures", "--jobs", "1", "--out", str(out)]
    return CliRunner().invoke(vaezoo, [*words, "--plugins-dir", str(plugins), *more])


def test_whatever_a_logger_does_no_trial_is_lost(plugins, tmp_path):
    result = bench(tmp_path, plugins, "--seeds", "2", "--log", "keeps,raises,dies")
    assert result.exit_code == 0, result.output
    records = [json.loads(path.read_text()) for path in tmp_path.glob("trials/*/trial.json")]
    assert [record["status"] for record in records] == ["done", "done"]

    for seed in (0, 1):
        told = (tmp_path / f"told-{seed}.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in told] == [
            ["begin", "vae", seed, tmp_path.name],
            ["epoch", 1.0, True],
            ["epoch", 2.0, True],
            ["end", "done", True],
        ]

    said = [line for line in result.stderr.splitlines() if "the logger" in line]
    assert len(said) == 2, result.stderr
    assert "the logger raises failed: RuntimeError: the server is away" in said[0]
    assert "the logger dies died with exit code 3" in said[1]


def test_a_logger_that_hangs_is_stopped_and_nothing_waits_for_it(plugins, tmp_path, monkeypatch):
    entry = load_registry(plugins).loggers["hangs"]
    box = sending.Outbox(entry.plugin, "hangs", {}, tmp_path)
    began = time.monotonic()
    for _ in range(1000):  # more than a pipe would hold
        box.began(PLANNED, tmp_path)
    assert time.monotonic() - began < 10
    log = box.folder / "log.txt"
    while "falls asleep" not in log.read_text() and time.monotonic() - began < 120:
        time.sleep(0.05)
    with log.open("ab") as file:
        file.write(bytes(2 * GROWN) + b"the last word")
    box.look()
    assert log.stat().st_blocks * 512 < GROWN
    monkeypatch.setattr(sending, "LINGER", 0.3)
    (said,) = sending.closed([box], is_stopped=False)
    assert "the logger hangs was not done 0.3 s after the last trial, and was stopped" in said
    assert box.process.returncode == -signal.SIGKILL
    assert log.stat().st_size < WHOLE
    assert log.read_bytes().endswith(b"the last word")


def test_a_logger_that_is_not_there_is_said_before_training(plugins, tmp_path, monkeypatch):
    result = bench(tmp_path / "a", plugins, "--seeds", "1", "--log", "keep")
    assert (result.exit_code, "keeps" in result.stderr) == (2, True)
    monkeypatch.setattr("vaezoo.bench.logs.naming.find_spec", lambda name: None)
    result = bench(tmp_path / "b", plugins, "--seeds", "1", "--log", "wandb")
    assert result.exit_code == 2
    assert "pip install 'vaezoo[wandb]'" in result.stderr
    assert not (tmp_path / "b" / "trials").exists()


TRIAL = {
    "key": "ab" * 32,
    "variant": "beta[beta=4.0]",
    "dataset": "digits",
    "seed": 1,
    "hyperparameters": {"beta": 4.0},
    "budget": {"epochs": 2},
    "spec": {"latent": 8},
}


def logged(logger: Any, out: Path) -> None:
    handle = logger.begin(TRIAL, out)
    for epoch, loss in ((1, 9.5), (2, 7.25)):
        logger.epoch(handle, {"epoch": epoch, "train_loss": loss, "validation_loss": loss + 1})
    logger.end(handle, "done", {"elbo": -20.5, "nll": 19.0})


def test_event_files_of_tensorboard_are_read_back(tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logged(of_tensorboard.tensorboard(), tmp_path)
    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert folder.name == "beta-beta-4.0-digits-1-abababab"
    found = reading.EventAccumulator(str(folder)).Reload()
    points = [(one.step, one.value) for one in found.Scalars("validation/loss")]
    assert points == [(1, 10.5), (2, 8.25)]
    assert [one.value for one in found.Scalars("test/elbo")] == [-20.5]
    (text,) = found.Tensors("trial/text_summary")
    assert b"hyperparameters.beta: 4.0" in text.tensor_proto.string_val[0]


class FakeMlflow:
    """The calls of `MlflowClient` that we make, with its signatures."""

    def __init__(self, tracking_uri: str) -> None:
        self.said: list[Any] = [tracking_uri]

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return "7"

    def create_run(self, experiment_id: str, *, run_name: str) -> Any:
        self.said.append((experiment_id, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

    def log_param(self, run_id: str, key: str, value: Any) -> None:
        self.said.append((key, value))

    def log_metric(self, run_id: str, key: str, value: float, step: int | None = None) -> None:
        self.said.append((key, value, step))

    def set_terminated(self, run_id: str, status: str) -> None:
        self.said.append(status)


def test_mlflow_is_given_a_run_a_trial(tmp_path, monkeypatch):
    """With a stand-in of the client's API: the package is not among the tests'."""
    made = []
    module = types.ModuleType("mlflow.tracking")
    module.MlflowClient = lambda tracking_uri: made.append(FakeMlflow(tracking_uri)) or made[0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", module)
    monkeypatch.setattr(of_mlflow, "needs", lambda *_: None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    logged(of_mlflow.mlflow(), tmp_path)
    said = made[0].said
    assert said[0] == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert said[1] == ("7", "beta[beta=4.0] on digits, seed 1")
    assert ("hyperparameters.beta", "4.0") in said
    assert ("train_loss", 7.25, 2) in said
    assert ("test_elbo", -20.5, None) in said
    assert said[-1] == "FINISHED"


class FakeWandb:
    """What `wandb.init` gives."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.summary: dict[str, Any] = {}

    def log(self, data: dict[str, float], step: int | None = None) -> None:
        self.said.append((step, data))

    def finish(self, exit_code: int | None = None) -> None:
        self.said.append(exit_code)


def test_wandb_is_given_a_run_a_trial(tmp_path, monkeypatch):
    """With a stand-in of its API: the package is not among the tests'."""
    run = FakeWandb()
    asked: dict[str, Any] = {}
    module = types.ModuleType("wandb")
    module.init = lambda **given: asked.update(given) or run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr(of_wandb, "needs", lambda *_: None)
    logged(of_wandb.wandb(mode="offline"), tmp_path)
    assert (asked["project"], asked["mode"], asked["dir"]) == ("vaezoo", "offline", str(tmp_path))
    assert "entity" not in asked
    assert asked["config"]["hyperparameters.beta"] == 4.0
    assert run.said == [
        (1, {"train_loss": 9.5, "validation_loss": 10.5}),
        (2, {"train_loss": 7.25, "validation_loss": 8.25}),
        0,
    ]
    assert run.summary == {"test/elbo": -20.5, "test/nll": 19.0, "status": "done"}


def test_a_trial_that_is_tried_again_leaves_no_run_open(tmp_path):
    told = []
    sender = Sender(tmp_path)
    sender.logger = Logger(
        "keeps",
        lambda trial, out: told.append("begin"),
        lambda handle, row: None,
        lambda handle, status, metrics: told.append(status),
    )
    for _ in range(2):
        sender.on_began(TRIAL, str(tmp_path))
    sender.on_ended(TRIAL["key"], "done", {}, str(tmp_path))
    assert told == ["begin", "failed", "begin", "done"]

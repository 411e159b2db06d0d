"""The checkpoints of a run by name, so that somebody else can load them: weights.json."""

from collections.abc import Iterator
from pathlib import Path

from ..data.kept import umask, written_aside
from ..training.weights import INDEX, CheckpointError, Index, Weights
from .manifest import digest_of, listed_in
from .records import Damaged, Record, RunRecord
from .report.rows import rows_of
from .store import WEIGHTS, Store


def name_weights(folder: Path, out: Path | None = None) -> Index:
    """Writes weights.json: data set/row/seed -> file, SHA-256 and bytes of the trials of the last
    run in `folder` that are done. Without `out` it lies in `folder` and names the files there; with
    it the files are copied beside it.

    Raises: CheckpointError where run.json is damaged, no trial has weights, or one has no longer
    those it ended with.
    """
    store = Store(folder)
    models: dict[str, Weights] = {}
    for name, record in _named(store):
        path = store.trials / record.key / WEIGHTS
        if not path.is_file():
            continue
        file = f"trials/{record.key}/{WEIGHTS}" if out is None else f"{record.key}.safetensors"
        models[name] = Weights(file=file, sha256=_digest(path), bytes=path.stat().st_size)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            _write(out / file, path.read_bytes())
    if not models:
        raise CheckpointError(f"no trial of the last run in {folder} has weights: train it first")
    index = Index(models=models)
    _write((out or folder) / INDEX, index.as_text().encode())
    return index


def _digest(path: Path) -> str:
    """Raises: CheckpointError for weights that are not those which the trial ended with."""
    try:
        digest = digest_of(path)
        listed = listed_in(path.parent)
    except Damaged as why:
        raise CheckpointError(f"{path} cannot be named: {why}") from None
    if listed.get(WEIGHTS, digest) != digest:
        raise CheckpointError(
            f"{path} is not what the trial wrote, by the manifest beside it: `vaezoo verify` says "
            "what else is wrong"
        )
    return digest


def _write(path: Path, content: bytes) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(content)
        aside.chmod(0o666 & ~umask())


def _named(store: Store) -> Iterator[tuple[str, Record]]:
    try:
        run = RunRecord.from_json(store.read_json("run.json"))
    except Damaged as why:
        raise CheckpointError(
            f"{store.out}/run.json does not say which trials are of the last run: {why}"
        ) from None
    records = [record for record in store.records()[0] if record.key in run.trials]
    for row in rows_of(records, run.trials, run.sweeps):
        for record in row.done:
            yield f"{row.dataset}/{row.name}/{record.seed}", record

"""What is left of batches, removed once it is of no use."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

from ...owners import age
from ...store import FINAL, Store
from . import batch as files, queue
from .batch import Batch
from .watching import SENDING

LEAVING = 15.0  # seconds that a job may take to leave when its work is done


def clear(out: Path) -> None:
    """Removes the files of batches whose trials are all in place; the others keep what their jobs
    printed.
    """
    done = [batch for batch in files.batches(out) if _is_done(batch)]
    _let_end(done)
    for batch in done:
        keys = batch.keys()
        shutil.rmtree(batch.folder, ignore_errors=True)
        for key in keys:
            if files.ticket(out, key) == batch.name:
                (out / "slurm" / key).unlink(missing_ok=True)
    with suppress(OSError):  # something is left in it
        (out / "slurm").rmdir()


def _is_done(batch: Batch) -> bool:
    """Whether all its trials are in place. One without trials is a driver's that has died, or that
    is about to say what they are.
    """
    keys = batch.keys()
    if not keys:
        return age(batch.folder) > SENDING
    store = Store(batch.out)
    records = [store.read(key) for key in keys]
    return all(record is not None and record.status in FINAL for record in records)


def _let_end(batches: list[Batch]) -> None:
    """Waits a while for jobs that have done their work and are about to leave."""
    until = time.monotonic() + LEAVING
    while batches and time.monotonic() < until:
        found = queue.ask(batch.job_name for batch in batches)
        if found is None or not found.active:
            return
        time.sleep(1.0)

"""A trial as a path: a JSON file says what to train and where to put it.

    python -m vaezoo.bench.workers.task FILE

An executor runs this anywhere that sees the file's folders. The trial comes back as the folder
OUT/trials/<key>, renamed into place when it is whole.
"""

import json
import sys
from pathlib import Path
from typing import Any

from .worker import Task, run_trial


def run_task(path: str) -> dict[str, Any]:
    """Trains, evaluates and stores the trial of this file.

    {"status": how it ended}, or {"full": sentence} where the disk took no more.
    """
    # Before the guard gives plugins a limit: on a busy machine, it would cut short the import of a
    # library that a plugin is the first to load, and leave half of it behind.
    from . import preload  # noqa: F401

    return run_trial(Task.from_json(json.loads(Path(path).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    run_task(sys.argv[1])

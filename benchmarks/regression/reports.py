"""Did any table move? Reports of folders of results, made by this code in a copy, beside the tables
that lie there.

    python benchmarks/regression/reports.py results/*

Names each file that differs, and says how many do not. The exit code is 1 where anything differs.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vaezoo.bench.report.report import WRITERS, report


def tables(folder: Path) -> dict[str, bytes]:
    """The files of the tables, by name."""
    paths = [path for ending in WRITERS for path in sorted(folder.glob(f"*.{ending}"))]
    return {path.name: path.read_bytes() for path in paths}


def moved(folder: Path) -> Iterator[str]:
    """Each table as it is with a mark: whether this code writes the same."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place, folder.name)
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("figures", "*.png"))
        before = tables(copy)
        report(copy, figures=False)
        after = tables(copy)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield name


def main() -> None:
    """Compares all folders that are named and hold a run."""
    folders = [Path(word) for word in sys.argv[1:]]
    differs = False
    for folder in (one for one in folders if (one / "run.json").is_file()):
        names = list(moved(folder))
        differs = differs or bool(names)
        print(f"{folder}: {', '.join(names) or 'no table moved'}", flush=True)
    sys.exit(differs)


if __name__ == "__main__":
    main()

"""A report of thousands of trials waits for their files: each is opened once."""

import json
import os
from collections import Counter
from pathlib import Path

from vaezoo.bench.manifest import MANIFEST, manifest
from vaezoo.bench.records import opened
from vaezoo.bench.report.report import read_rows
from vaezoo.bench.store import TRIAL

KNOWN = Path(__file__).parents[2] / "results" / "digits" / "trials"


def test_a_trial_and_its_manifest_are_opened_once_for_a_report(tmp_path, monkeypatch):
    keys = sorted(path.parent.name for path in KNOWN.glob(f"*/{TRIAL}"))[:5]
    for key in keys:
        folder = tmp_path / "trials" / key
        folder.mkdir(parents=True)
        (folder / TRIAL).write_bytes((KNOWN / key / TRIAL).read_bytes())
        (folder / MANIFEST).write_text(manifest(folder))
    seen = Counter()
    plain = os.open

    def counted(path, *how):
        seen[Path(path).name] += 1
        return plain(path, *how)

    monkeypatch.setattr(opened.os, "open", counted)
    assert sum(len(row.trials) for row in read_rows(tmp_path)) == 5
    assert (seen[TRIAL], seen[MANIFEST]) == (5, 5)


def test_a_file_is_read_to_its_end_in_one_go(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(list(range(1000))))
    sizes = []
    plain = os.read

    def counted(descriptor, size):
        sizes.append(size)
        return plain(descriptor, size)

    monkeypatch.setattr(opened.os, "read", counted)
    assert opened.content_of(path) == path.read_bytes()
    assert len(sizes) == 1

"""What is kept of a training split is what a pass over it gives."""

import math
import os
import time
from dataclasses import replace
from pathlib import Path

import torch

from vaezoo.data.data import Data
from vaezoo.evaluation.entries import DAY, DAYS, entries_of, folder_of


def test_entries_are_those_of_the_split_without_its_gaps_and_are_read_back(
    data: Data, tmp_path: Path
):
    x = data.train.clone()
    x[::3, :, 2] = math.nan
    gappy = replace(data, train=x)
    seen = x[~x.isnan()]
    for _ in range(2):  # made, then read
        found = entries_of(gappy, tmp_path)
        wanted = seen.min(), seen.max(), seen.mean(), seen.std()
        assert all(map(torch.equal, vars(found).values(), wanted))
    assert folder_of(gappy, tmp_path) != folder_of(data, tmp_path)


def test_a_damaged_file_is_made_again(data: Data, tmp_path: Path):
    whole = float(entries_of(data, tmp_path).mean)
    (folder_of(data, tmp_path) / "entries.safetensors").write_bytes(b"half of it")
    assert float(entries_of(data, tmp_path).mean) == whole


def test_what_nobody_has_used_for_long_is_removed_when_other_data_come(data: Data, tmp_path: Path):
    entries_of(data, tmp_path)
    used = folder_of(data, tmp_path)
    forgotten = used.with_name("0" * 24)
    foreign = used.with_name("of somebody else")
    for folder in (forgotten, foreign):
        folder.mkdir()
        (folder / "file").write_text("")
    long_ago = time.time() - (DAYS + 1) * DAY
    for folder in (used, forgotten, foreign):
        os.utime(folder, (long_ago, long_ago))

    entries_of(data, tmp_path)
    assert forgotten.is_dir()
    other = replace(data, train=1 - data.train)
    entries_of(other, tmp_path)
    assert not forgotten.exists()
    assert used.is_dir()
    assert foreign.is_dir()

"""What is kept of a training split is what a pass over it gives."""

import math
from dataclasses import replace
from pathlib import Path

import torch

from vaezoo.data.data import Data
from vaezoo.evaluation.entries import entries_of, folder_of


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

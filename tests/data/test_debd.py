"""Chow–Liu trees against every tree there is and against the values that print gives; the thirteen
files as they are read.
"""

import gzip
import itertools

import pytest
import torch

from vaezoo.data.files import CorruptData, Files
from vaezoo.data.sources.debd import TREE, bits, debd, files_of
from vaezoo.data.trees import chow_liu, information, pairs, spanning_tree
from vaezoo.evaluation.measurement import controls
from vaezoo.hyperparameters import hyperparameters

from .test_sources import REAL, must_keep_its_promises

needs_files = pytest.mark.skipif(
    not (REAL / "debd").is_dir(), reason="the real files are not here; set VAEZOO_DATA"
)
SETS = hyperparameters(debd)["set"].annotation.__args__
# nats of the test split, computed from the files by others than this code; print has 6.76, 16.51,
# 44.37, 58.23, 60.25, 33.17, 30.80, 87.70 and 261.84
TREES = {
    "nltcs": 6.76,
    "plants": 16.52,
    "baudio": 44.37,
    "jester": 58.23,
    "bnetflix": 60.25,
    "accidents": 33.19,
    "pumsb_star": 30.81,
    "dna": 87.73,
    "mushrooms": 21.02,
    "nips": 280.90,
    "bbc": 261.86,
}


def drawn(rows: int, size: int) -> torch.Tensor:
    """Rows (N, D) of bits, each of which is the first one but for one row in five."""
    g = torch.Generator().manual_seed(0)
    first = torch.rand(rows, 1, generator=g) < 0.4
    differs = torch.rand(rows, size, generator=g) < 0.2
    return (first ^ differs).float()


def every_row(size: int) -> torch.Tensor:
    """All of {0, 1}^D, (2^D, D)."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=size)))


def edges(parent: torch.Tensor) -> set[frozenset[int]]:
    return {frozenset((j, int(p))) for j, p in enumerate(parent) if int(p) != j}


def is_tree(chosen: tuple[tuple[int, int], ...], size: int) -> bool:
    """Whether these edges connect all nodes."""
    reached = {0}
    for _ in chosen:
        reached |= {b for edge in chosen for b in edge if reached & {*edge}}
    return len(reached) == size


def every_tree(size: int) -> list[tuple[tuple[int, int], ...]]:
    """The spanning trees of so many nodes: size^(size - 2), by Cayley."""
    all_edges = list(itertools.combinations(range(size), 2))
    found = [c for c in itertools.combinations(all_edges, size - 1) if is_tree(c, size)]
    assert len(found) == size ** (size - 2)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_tree_of_four_entries_is_the_best_of_all_sixteen(seed):
    x = torch.bernoulli(
        torch.rand(30, 4, generator=torch.Generator().manual_seed(seed)),
        generator=torch.Generator().manual_seed(seed + 1),
    )
    told = information(pairs(x))
    best = max(every_tree(4), key=lambda tree: sum(float(told[edge]) for edge in tree))
    assert edges(chow_liu(x).parent) == {frozenset(edge) for edge in best}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 40])
def test_the_probabilities_of_all_rows_sum_to_1(rows, dtype):
    tree = chow_liu(drawn(rows, 8).to(dtype))
    total = tree.log_prob(every_row(8).to(dtype)).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0).double(), rtol=0, atol=1e-12)


def test_the_tree_has_the_smoothed_margins_of_its_edges():
    x = drawn(50, 6)
    tree = chow_liu(x)
    rows = every_row(6)
    p = tree.log_prob(rows).exp()
    for j, parent in enumerate(tree.parent.tolist()):
        both = p[(rows[:, j] == 1) & (rows[:, parent] == 1)].sum()
        count = ((x[:, j] == 1) & (x[:, parent] == 1)).sum()
        expected = (count + (2 if j == parent else 1)) / (50 + 4)
        torch.testing.assert_close(both, expected.double(), rtol=1e-6, atol=0)


def test_information_is_that_of_scikit_learn_where_nothing_is_smoothed():
    from sklearn.metrics import mutual_info_score

    x = drawn(200, 5)
    told = information(pairs(x, pseudo=0.0))
    for i, j in itertools.combinations(range(5), 2):
        assert told[i, j] == pytest.approx(mutual_info_score(x[:, i], x[:, j]), abs=1e-12)


def test_a_spanning_tree_is_as_heavy_as_that_of_scipy():
    from scipy.sparse.csgraph import minimum_spanning_tree

    g = torch.Generator().manual_seed(0)
    weight = torch.rand(40, 40, generator=g, dtype=torch.float64)
    weight = weight + weight.T
    parent = spanning_tree(weight)
    ours = sum(float(weight[j, p]) for j, p in enumerate(parent.tolist()) if j != p)
    assert ours == pytest.approx(-minimum_spanning_tree(-weight.numpy()).sum(), abs=1e-9)


@pytest.mark.parametrize("content", [b"", b"0,1\n0\n", b"0,2\n", b"0;1\n", b"01\n"])
def test_bad_lines_are_refused(content):
    with pytest.raises(CorruptData, match=r"f\.data"):
        bits(content, "f.data")


def test_lines_are_read_as_bits():
    assert bits(b"0,1,1\r\n1,0,0\n", "f.data").tolist() == [[0, 1, 1], [1, 0, 0]]


# The real files


@needs_files
@pytest.mark.parametrize("name", SETS)
def test_a_real_set_keeps_its_promises_and_its_tree_has_the_known_value(name):
    data = debd(Files([REAL], offline=True), set=name)
    must_keep_its_promises(data)
    value = data.controls(data.test)[TREE]["nll"]
    apart = controls(data, [])[TREE]["nll"]
    assert value == apart
    assert name not in TREES or value == pytest.approx(TREES[name], abs=0.03)


@needs_files
def test_files_are_read_packed_or_not(tmp_path):
    for file in files_of("nltcs"):
        packed = (REAL / f"{file.name}.gz").read_bytes()
        (tmp_path / file.name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.name).write_bytes(gzip.decompress(packed))
    plain = debd(Files([tmp_path], offline=True, cache=tmp_path / "none"), set="nltcs")
    assert plain.hashes == debd(Files([REAL], offline=True), set="nltcs").hashes

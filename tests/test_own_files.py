"""A file or a folder stands for its data set wherever a data set is named."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import vaezoo
from vaezoo.cli import vaezoo as program
from vaezoo.registry.registry import load_registry
from vaezoo.registry.selection import SelectionError

ROWS = "a,b\n" + "".join(f"{i % 7}.5,{i % 4}.25\n" for i in range(20))
NAMED = "a,kind\n" + "".join(f"{i % 7}.5,{'xy'[i % 2]}\n" for i in range(20))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files that the program stands in."""
    monkeypatch.chdir(tmp_path)
    for name in ("x.csv", "a, b.csv", "x[1].csv", "it's.csv", "UPPER.CSV"):
        (tmp_path / name).write_text(ROWS)
    (tmp_path / "named.csv").write_text(NAMED)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "x.csv").write_text(ROWS)
    for name in ("digits", "image", "all"):
        (tmp_path / name).mkdir()
    return tmp_path


READ = {
    "x.csv": ["arrays[path=x.csv]"],
    "x.csv,digits": ["arrays[path=x.csv]", "digits"],
    "inner/x.csv": ["arrays[path=inner/x.csv]"],
    "named.csv[label=kind]": ["arrays[path=named.csv,label=kind]"],
    "named.csv[label=kind,standardise=true,false]": [
        "arrays[path=named.csv,label=kind,standardise=true]",
        "arrays[path=named.csv,label=kind,standardise=false]",
    ],
    "a, b.csv": ["arrays[path='a, b.csv']"],
    "x[1].csv": ["arrays[path='x[1].csv']"],
    "it's.csv": ["""arrays[path="it's.csv"]"""],
    "UPPER.CSV": ["arrays[path=UPPER.CSV]"],
    "./digits": ["arrays[path=./digits]"],
    "digits": ["digits"],
    "digits[rows=50]": ["digits[rows=50]"],
    "arrays[path=x.csv]": ["arrays[path=x.csv]"],
}


@pytest.mark.parametrize("text", READ)
def test_a_path_is_its_data_set(text: str):
    chosen = load_registry().choose_datasets(text)
    assert [one.label for one in chosen] == READ[text]
    assert all(one.label == load_registry().choose_datasets(one.label)[0].label for one in chosen)


ASKED = {
    "lacking.csv": "there is no file or folder lacking.csv",
    "digits,./gone": "there is no file or folder ./gone",
    "image": "'image' is a tag of data sets, and there is a file or folder .* write ./image",
    "digit": "did you mean 'digits'",
    "x.csv[lable=kind]": "lable",
    "not:x.csv": "no data set or tag is called 'x.csv'",
}


@pytest.mark.parametrize("text", ASKED)
def test_a_path_of_two_readings_or_of_none_is_one_sentence(text: str):
    with pytest.raises(SelectionError, match=ASKED[text]) as caught:
        load_registry().choose_datasets(text)
    assert "\n" not in str(caught.value)


def test_a_folder_called_all_does_not_hide_all_data_sets():
    assert len(load_registry().choose_datasets("all")) > 5


def run(*words: object) -> str:
    result = CliRunner().invoke(program, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_verbs_take_a_file_as_its_data_set(folder: Path):
    assert "arrays[path=x.csv]" in run(
        "bench", "--variants", "vae", "-d", "x.csv", "--epochs", 1, "--dry-run"
    )
    run("train", "vae", "-d", "named.csv[label=kind]", "-o", "m.safetensors", "--epochs", 1)
    assert vaezoo.load("m.safetensors").recipe.spec.classes == 2
    assert "a: amounts" in run("data", "named.csv[label=kind]")
    assert "keep the contract" in run("check", "named.csv[label=kind]")


def test_python_takes_a_file_as_its_data_set_too(folder: Path):
    np.save("x.npy", np.random.default_rng(0).normal(size=(30, 3)))
    assert vaezoo.dataset("x.npy").spec.shape == (3,)
    assert vaezoo.dataset("x.npy", standardise=False).reader.mean == (0.0,)


MIXED = {
    "words.csv": "table[path=words.csv]",
    "words.csv[label=kind]": "arrays[path=words.csv,label=kind]",
    "words.csv[drop=kind]": "arrays[path=words.csv,drop=kind]",
    "gaps.csv": "table[path=gaps.csv]",
    "gaps.csv[gaps=true]": "arrays[path=gaps.csv,gaps=true]",
    "x.csv[types=a:number]": "table[path=x.csv,types=a:number]",
}


@pytest.mark.parametrize("text", MIXED)
def test_a_table_with_words_or_gaps_is_one_of_mixed_columns(text: str, folder: Path):
    (folder / "words.csv").write_text(NAMED)
    (folder / "gaps.csv").write_text(ROWS + ",1.25\n")
    assert [one.label for one in load_registry().choose_datasets(text)] == [MIXED[text]]

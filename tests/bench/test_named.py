"""Weights by name: from the folder of a run, from a copy of it, and from an address with a hash."""

import hashlib
import json
import shutil
from urllib.parse import quote

import pytest
import torch
from click.testing import CliRunner

from vaezoo.bench.named import name_weights
from vaezoo.bench.verify import verify
from vaezoo.cli import vaezoo
from vaezoo.training import checkpoint
from vaezoo.training.checkpoint import CheckpointError, load

NAME = "tiny/vamp/0"


@pytest.fixture
def out(measured, tmp_path):
    """A copy of a run with one trial, its weights named."""
    folder = shutil.copytree(measured[1], tmp_path / "out")
    name_weights(folder)
    return folder


def weights(folder):
    return next(folder.glob("trials/*/model.safetensors"))


def same(model, other):
    mine, theirs = model.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)


@pytest.mark.parametrize("name", [NAME, "vamp/0", "tiny/vamp", "vamp"])
def test_a_model_is_loaded_by_its_name_in_the_folder_of_a_run(out, name):
    assert same(load(f"{out}#{name}"), load(weights(out)))
    assert not verify(out).faults


def test_a_copy_of_the_weights_alone_is_loaded_by_the_same_names(out, tmp_path):
    name_weights(out, tmp_path / "sent")
    assert len(list((tmp_path / "sent").iterdir())) == 2
    assert same(load(f"{tmp_path / 'sent'}#{NAME}"), load(weights(out)))


@pytest.mark.parametrize("behind", ["{url}/weights.json#{name}", "{url}/{file}#sha256={hash}"])
def test_a_model_is_loaded_from_an_address_and_once_more_without_it(
    out, server, monkeypatch, tmp_path, behind
):
    folder, url = server
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VAEZOO_DATA", raising=False)
    name_weights(out, folder)
    file = next(folder.glob("*.safetensors"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    place = behind.format(url=url, file=file.name, name=quote(NAME), hash=digest)
    assert same(load(place), load(weights(out)))
    file.unlink()  # it is kept in the cache, under its hash
    assert same(load(place), load(weights(out)))
    assert [path.name for path in (tmp_path / "cache").glob("models/*")] == [
        f"{digest}.safetensors"
    ]


def test_what_an_address_serves_must_have_the_hash(out, server, monkeypatch, tmp_path):
    folder, url = server
    monkeypatch.setenv("VAEZOO_CACHE", str(tmp_path / "cache"))
    name_weights(out, folder)
    file = next(folder.glob("*.safetensors"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for place, why in {
        f"{url}/{file.name}": "address without a hash",
        f"{url}/{file.name}#sha256={'0' * 64}": "SHA-256",
        f"{url}/{file.name}#sha256=abc": "64 digits",
        f"{url}/weights.json#{NAME}&sha256={'0' * 64}": "and you said",
        f"{url}/nothing.json#{NAME}": "could not be fetched",
        f"{url}/nothing#sha256={digest}": "could not be fetched",
        f"{url}/weights.json#iwae": "none of that name; choose one, such as tiny/vamp/0",
    }.items():
        with pytest.raises(CheckpointError, match=why):
            load(place)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256"):
        load(f"{url}/weights.json#{NAME}")
    assert not list((tmp_path / "cache").glob("models/*"))


def damaged(out, **changes):
    index = out / "weights.json"
    facts = json.loads(index.read_text())
    facts["models"][NAME] |= changes
    index.write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"file": "../../../model.safetensors"}, "not as vaezoo weights writes it"),
        ({"file": "/etc/model.safetensors"}, "not as vaezoo weights writes it"),
        ({"file": "trials/model.pkl"}, "not as vaezoo weights writes it"),
        ({"file": "trials/nothing.safetensors"}, "is not there"),
        ({"bytes": 12}, "says 12"),
        ({"bytes": -1}, "not as vaezoo weights writes it"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"more": 1}, "not as vaezoo weights writes it"),
    ],
)
def test_an_index_that_was_changed_is_refused(out, changes, why):
    damaged(out, **changes)
    with pytest.raises(CheckpointError, match=why):
        load(f"{out}#{NAME}")


@pytest.mark.parametrize("content", [b"", b"[]", b"{" * 100_000, b"\xff\x00", b'{"models": {}}'])
def test_what_is_no_index_is_one_sentence(out, content):
    (out / "weights.json").write_bytes(content)
    with pytest.raises(CheckpointError):
        load(f"{out}#{NAME}")


def test_names_that_could_be_several_or_are_of_no_folder_are_refused(out, tmp_path):
    facts = json.loads((out / "weights.json").read_text())
    facts["models"]["tiny/vamp/1"] = facts["models"][NAME]
    (out / "weights.json").write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match="several of that name"):
        load(f"{out}#vamp")
    with pytest.raises(CheckpointError, match="`vaezoo weights"):
        load(f"{tmp_path}#vamp")


def test_weights_that_are_not_what_the_trial_wrote_get_no_name(out):
    other = checkpoint.load(weights(out))
    with torch.no_grad():
        next(other.parameters()).add_(1)
    checkpoint.save(other, weights(out))
    with pytest.raises(CheckpointError, match="by the manifest"):
        name_weights(out)


def test_a_file_whose_name_has_a_hash_is_a_file(out, tmp_path):
    path = tmp_path / "my#model.safetensors"
    shutil.copyfile(weights(out), path)
    assert same(load(str(path)), load(path))


def test_the_verbs_take_names(out, tmp_path):
    named = CliRunner().invoke(vaezoo, ["weights", str(out)])
    assert named.exit_code == 0, named.output
    assert named.output.startswith(NAME)
    drawn = tmp_path / "x.npz"
    done = CliRunner().invoke(vaezoo, ["sample", f"{out}#vamp/0", "-n", "2", "-o", str(drawn)])
    assert done.exit_code == 0, done.output
    assert drawn.is_file()


@pytest.mark.parametrize("content", [None, "[]", "{}", '{"trials": 3}', '{"trials": [{}]}', "x"])
def test_a_run_that_does_not_say_its_trials_is_one_sentence(tmp_path, content):
    (tmp_path / "trials").mkdir()
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    named = CliRunner().invoke(vaezoo, ["weights", str(tmp_path)])
    assert named.exit_code == 2, named.output
    assert "internal" not in named.output
    assert len(named.output.splitlines()) == 1

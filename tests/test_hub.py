"""`push` and `pull` against a server of this machine that answers as the Hugging Face hub does, on
the endpoints that huggingface_hub uses.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vaezoo.bench.hub.card import card
from vaezoo.cli import vaezoo
from vaezoo.core import Spec
from vaezoo.registry.registry import load_registry
from vaezoo.training import checkpoint

hub = pytest.importorskip("huggingface_hub")
REPO = "someone/a-vae"
COMMIT = "c" * 40
SPEC = Spec((1, 4, 4), n_train=8, latent=2, hidden=4)


class Hub(ThreadingHTTPServer):
    """The files of one repository, and every path that was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, bytes] = {}
        self.stored: dict[str, bytes] = {}  # SHA-256 -> what was uploaded
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, content: bytes, **headers: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def say(self, value: Any) -> None:
        self.answer(json.dumps(value).encode(), Content_Type="application/json")

    def body(self) -> bytes:
        self.server.asked.append(f"{self.command} {self.path}")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self) -> None:
        sent, url = self.body(), self.server.url
        if self.path == "/api/repos/create":
            self.say({"url": f"{url}/{REPO}"})
        elif "/preupload/" in self.path:
            names = [one["path"] for one in json.loads(sent)["files"]]
            modes = {True: "lfs", False: "regular"}
            files = [{"path": n, "uploadMode": modes[n.endswith(".safetensors")]} for n in names]
            self.say({"files": [one | {"shouldIgnore": False} for one in files]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            wanted = json.loads(sent)["objects"]
            put = [one | {"actions": {"upload": {"href": f"{url}/lfs/{one['oid']}"}}}
                   for one in wanted]  # fmt: skip
            self.say({"transfer": "basic", "objects": put})
        elif "/commit/" in self.path:
            for line in map(json.loads, sent.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    self.server.files[value["path"]] = self.server.stored[value["oid"]]
            self.say({"commitUrl": f"{url}/{REPO}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.say({})

    def do_PUT(self) -> None:
        sent = self.body()
        self.server.stored[hashlib.sha256(sent).hexdigest()] = sent
        self.answer(b"")

    def do_GET(self) -> None:
        self.body()
        if self.path.startswith(f"/api/models/{REPO}"):
            files = [{"rfilename": n, "size": len(c)} for n, c in self.server.files.items()]
            self.say({"id": REPO, "sha": COMMIT, "siblings": files, "private": False, "tags": []})
            return
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name not in self.server.files or f"/{REPO}/resolve/{COMMIT}/" not in self.path:
            self.send_error(404)
            return
        content = self.server.files[name]
        digest = f'"{hashlib.sha256(content).hexdigest()}"'
        self.answer(content, ETag=digest, X_Repo_Commit=COMMIT)

    do_HEAD = do_GET


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    made = Hub()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trial's folder with weights."""
    folder = tmp_path_factory.mktemp("trial")
    model = load_registry().variants["beta"](SPEC, beta=2.0)
    checkpoint.save(model, folder / "model.safetensors")
    facts = {"key": "ab", "dataset": "digits", "metrics": {"elbo": -20.25, "kl": None}}
    (folder / "trial.json").write_text(json.dumps(facts | {"ingredients": {"seed": 3}}))
    return folder


def call(*words: object) -> Result:
    return CliRunner().invoke(vaezoo, [str(word) for word in words])


def pulled(out: Path, *more: object) -> Result:
    return call("pull", REPO, "-o", out, *more)


def test_what_was_pushed_comes_back_to_the_bit_with_a_card(server, trial, tmp_path):
    done = call("push", trial, REPO)
    assert done.exit_code == 0, done.output
    assert f"wrote {server.url}/{REPO}/commit/{COMMIT}" in done.stdout
    assert set(server.files) == {"model.safetensors", "vaezoo.json", "README.md"}
    text = server.files["README.md"].decode()
    assert text.startswith("---\nlibrary_name: vaezoo\n")
    digest = hashlib.sha256((trial / "model.safetensors").read_bytes()).hexdigest()
    for words in ("# beta", "trained on digits", "| beta | 2.0 |", "| elbo | -20.25 |", digest):
        assert words in text, words

    server.asked.clear()
    out = tmp_path / "came.safetensors"
    result = pulled(out, "--sha256", digest, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["sha256"], facts["variant"], facts["commit"]) == (digest, "beta", COMMIT)
    assert out.read_bytes() == (trial / "model.safetensors").read_bytes()
    files = {re.sub(r".*/|\?.*", "", one) for one in server.asked if "/resolve/" in one}
    assert files == {"model.safetensors", "vaezoo.json"}  # and not the card
    assert checkpoint.load(out).recipe == checkpoint.load(trial / "model.safetensors").recipe


def swapped(files: dict[str, bytes]) -> None:
    """Other weights of the same size, which are whole."""
    content = bytearray(files["model.safetensors"])
    content[-1] ^= 1
    files["model.safetensors"] = bytes(content)


def longer(files: dict[str, bytes]) -> None:
    files["model.safetensors"] += b"\0"


def of_pickles(files: dict[str, bytes]) -> None:
    files.clear()
    files["pytorch_model.bin"] = b"\x80\x04."


def naming(name: str) -> Any:
    def change(files: dict[str, bytes]) -> None:
        facts = json.loads(files["vaezoo.json"]) | {"file": name}
        files["vaezoo.json"] = json.dumps(facts).encode()

    return change


def nonsense(files: dict[str, bytes]) -> None:
    files["vaezoo.json"] = b"[1, 2"


def huge(files: dict[str, bytes]) -> None:
    files["vaezoo.json"] = b" " * (2**20 + 1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swapped, "its vaezoo.json said"),
        (longer, "it is not what was pushed"),
        (of_pickles, "holds no vaezoo.json, so it was not written by vaezoo push: of pytorch_mod"),
        (naming("model.pt"), "only a .safetensors file beside it"),
        (naming("../../model.safetensors"), "only a .safetensors file beside it"),
        (nonsense, "is not as vaezoo push writes it"),
        (huge, "bytes; 1,048,576 are the most"),
    ],
)
def test_what_is_not_what_was_pushed_is_refused_in_a_sentence(
    server, trial, tmp_path, change, words
):
    assert call("push", trial, REPO).exit_code == 0
    change(server.files)
    server.asked.clear()
    result = pulled(tmp_path / "m.safetensors")
    assert (result.exit_code, words in result.stderr) == (2, True), result.output
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m.safetensors").exists()
    assert not any(".bin" in one or ".pt" in one for one in server.asked)


def test_the_hash_that_one_was_told_is_held_against_it(server, trial, tmp_path):
    assert call("push", trial / "model.safetensors", REPO).exit_code == 0
    result = pulled(tmp_path / "m.safetensors", "--sha256", "0" * 64)
    assert (result.exit_code, "you said 0000" in result.stderr) == (2, True)
    assert not (tmp_path / "m.safetensors").exists()


def test_a_hub_that_is_away_and_a_name_that_is_none_are_a_sentence(trial, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for result in (pulled(tmp_path / "m.safetensors"), call("push", trial, REPO)):
        assert result.exit_code == 2
        assert f"the hub did not do it for {REPO}" in result.stderr
    assert "OWNER/NAME" in call("push", trial, "a-vae").stderr


def test_without_its_package_the_extra_is_named(trial, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert "pip install 'vaezoo[hub]'" in call("push", trial, REPO).stderr


def test_words_of_a_stranger_are_words_on_a_card():
    facts = {
        "variant": "<script>x</script>",
        "hyperparameters": {"a|b": "![](http://e.vil)"},
        "spec": {"latent": 2},
        "plugin": {"distribution": "", "version": "", "source_hash": "0" * 64},
        "sha256": "0" * 64,
        "bytes": 10,
        "trial": {},
    }
    text = card(REPO, facts)
    assert "<script>" not in text
    assert "![](" not in text

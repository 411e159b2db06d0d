"""Every verb on a console of few letters: what it cannot write comes as ASCII, not exit code 3."""

import io
import sys
from pathlib import Path

import pytest

from vaezoo.cli import vaezoo

VERBS = {
    "list variants": ("list", "variants"),
    "list metrics": ("list", "metrics"),
    "list datasets": ("list", "datasets"),
    "list tags": ("list", "tags"),
    "show": ("show", "beta"),
    "data": ("data", "gaussian"),
    "plan": ("plan", "--variants", "vae,mix[prior=vamp]", "--datasets", "gaussian"),
    "verify": ("verify", "{}"),
    "report": ("report", "{}", "--no-figures"),
    "report of a choice": ("report", "{}", "--columns", "nll,elbo", "-o", "{}/paper"),
    "rank": ("rank", "{}"),
    "compare": ("compare", "{}", "{}"),
    "cite": ("cite", "{}"),
    "best": ("best", "{}"),
    "board": ("board", "{}"),
    "no verb": ("bnech↑",),
    "no variant": ("show", "β↑語"),
    "no file": ("data", "語.csv"),
    "help": ("--help",),
}


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_every_verb_bears_a_console_of_few_letters(
    out: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
):
    monkeypatch.chdir(out.parent)
    for name, words in VERBS.items():
        stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        stderr = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", stdout)
            patched.setattr(sys, "stderr", stderr)
            with pytest.raises(SystemExit) as ended:
                vaezoo.main([word.replace("{}", str(out)) for word in words])
            stdout.flush()
            stderr.flush()
        said = stderr.buffer.getvalue().decode(encoding)
        assert ended.value.code in (0, 1, 2), (name, said)
        assert "internal error" not in said, name
        assert "Traceback" not in said, name
        assert stdout.buffer.getvalue() or said, name

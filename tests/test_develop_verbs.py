"""`vaezoo check`, `new` and `matrix`, as one types them."""

import json

from click.testing import CliRunner

from vaezoo.cli import vaezoo


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(vaezoo, list(words), catch_exceptions=True)
    return result.exit_code, result.output


def test_a_new_variant_passes_check_at_once(tmp_path):
    code, said = run("new", "variant", "fresh", "--folder", str(tmp_path))
    assert code == 0
    assert f"vaezoo check {tmp_path}/fresh.py" in said
    code, said = run("check", str(tmp_path / "fresh.py"), "--fast")
    assert (code, "1 variants keep the contract" in said) == (0, True), said


def test_check_names_the_rule_what_was_seen_and_how_to_mend_it(tmp_path):
    run("new", "variant", "loud", "--folder", str(tmp_path))
    file = tmp_path / "loud.py"
    file.write_text(
        file.read_text().replace("    return VAE(", "    print('hello')\n    return VAE(")
    )
    code, said = run("check", str(file), "--fast")
    assert code == 1
    assert "is_silent: it printed 'hello'" in said
    assert "to mend it: return numbers as terms of the loss" in said


def test_check_of_what_is_not_there_is_a_usage_error(tmp_path):
    assert run("check", str(tmp_path / "no.py"))[0] == 2
    (tmp_path / "empty.py").write_text("")
    code, said = run("check", str(tmp_path / "empty.py"))
    assert code == 2
    assert "brings no variant and nothing else" in said
    code, said = run("check", "vea")
    assert code == 2
    assert "'vae'" in said


def test_new_refuses_a_bad_name():
    code, said = run("new", "variant", "Bad-Name")
    assert code == 2
    assert "cannot be the name of a variant" in said


def test_the_matrix_says_what_composes_and_why_the_rest_does_not():
    code, said = run("matrix", "--rows", "encoder", "--columns", "loss", "--json")
    assert code == 0
    cells = {(cell["first"], cell["second"]): cell for cell in json.loads(said)}
    assert cells["gaussian", "elbo"]["answer"] == "bound"
    assert cells["deterministic", "elbo"]["answer"] == "refused"
    assert "deterministic encoder" in cells["deterministic", "elbo"]["reason"]
    assert [c for c in cells.values() if c["answer"] == "failed"] == []

"""Which rows stand beside each other: those trained and measured alike."""

from dataclasses import replace

import pytest

from tests.bench.conftest import recorded
from tests.bench.test_tables import trial
from vaezoo.bench.records import RunRecord
from vaezoo.bench.report.in_full import as_csv
from vaezoo.bench.report.printed import as_markdown
from vaezoo.bench.report.rows import rows_of
from vaezoo.bench.report.tables import tables_of
from vaezoo.bench.trial import PROTOCOL


def made(variant, nll, budget=(), spec=(), seeds=3, **facts):
    """Trials of one row, `facts` being other ingredients or, of the machine, torch's version."""
    trials = []
    for seed in range(seeds):
        one = trial(variant, seed, nll + seed / 10)
        one["machine"] = {"torch": facts.get("torch", "2.13.0+cpu")}
        given = {name: value for name, value in facts.items() if name != "torch"}
        one["ingredients"] |= {"protocol": PROTOCOL, "device": "cpu"} | given
        one["ingredients"]["budget"] = {"epochs": 30} | dict(budget)
        one["ingredients"]["spec"] |= {"hidden": 64, "latent": 8} | dict(spec)
        trials.append(recorded(one))
    return trials


def elbo(*rows, swept=None):
    records = [one for row in rows for one in row]
    return tables_of(rows_of(records, swept=swept or {}))[0]


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ({"budget": {"epochs": 3}}, "epochs 3, not 30"),
        ({"spec": {"hidden": 8}}, "hidden 8, not 64"),
        ({"spec": {"network": "conv"}}, "network conv, not "),
        ({"protocol": 1}, f"stale: protocol 1, and this version's is {PROTOCOL}"),
        ({"device": "cuda:1"}, "device cuda, not cpu"),
        ({"torch": "2.12.1"}, "torch 2.12.1, not 2.13.0"),
        ({"importance_samples": 5000}, "importance samples 5000, not 100"),
        ({"data": {"hashes": {"test": "0" * 64}}}, "data "),
    ],
)
def test_a_row_that_was_made_otherwise_says_so_and_takes_no_part(differs, words):
    others = made("vae", 25.0), made("iwae", 25.1)
    found = elbo(*others, made("beta", 20.0, **differs))
    assert found.best["digits", "nll"] == elbo(*others).best["digits", "nll"]
    text = as_markdown(found)
    assert f"[1] {words}" in text
    assert "| beta [1] | 3 | -20.10 ± 0.25 |" in text
    assert "not compared with the other rows" in as_csv(found)


def test_of_two_rows_the_one_that_was_trained_longer_is_the_table():
    """Two commands into the default folder."""
    small = made("beta", 40.0, {"epochs": 3}, {"hidden": 8})
    text = as_markdown(elbo(small, made("vae", 25.0)))
    assert "**" not in text
    assert "[1] epochs 3, not 30; hidden 8, not 64: not compared with the other rows" in text
    assert "| beta [1] | 3 |" in text


def test_what_does_not_change_a_number_keeps_rows_together():
    found = elbo(made("vae", 25.0, torch="2.13.0"), made("iwae", 30.0, device="cpu", threads=4))
    assert found.best["digits", "nll"].rows == {"vae"}
    assert "not compared" not in as_markdown(found)


def test_seeds_trained_by_two_versions_of_torch_are_one_row_that_says_so():
    mixed = [*made("vae", 25.0, seeds=2), made("vae", 25.0, torch="2.12.1")[2]]
    text = as_markdown(elbo(mixed, made("iwae", 25.1), made("vamp", 25.2)))
    assert "[2] torch 2.13.0 and 2.12.1, not 2.13.0: not compared" in text


def test_rows_of_a_sweep_are_compared_at_one_value_of_it():
    rows = [
        made(name, nll + 10 * (latent == 2), spec={"latent": latent})
        for latent in (2, 8)
        for name, nll in (("vae", 25.0), ("iwae", 23.0))
    ]
    found = elbo(*rows, swept={"latent": [2, 8]})
    assert found.best["digits", "nll"].rows == {"iwae {latent=2}", "iwae {latent=8}"}
    text = as_markdown(found)
    assert "Rows are compared with those of the same latent" in text
    assert "not compared" not in text


def test_what_a_sweep_did_not_ask_for_stands_apart():
    rows = [made(name, 25.0, spec={"latent": n}) for n in (2, 8) for name in ("vae", "iwae")]
    found = elbo(*rows, made("vamp", 20.0, spec={"latent": 16}), swept={"latent": [2, 8]})
    assert not any("vamp" in name for name in found.best["digits", "nll"].rows)
    assert "latent 16, not 2 or 8" in as_markdown(found)


def test_a_variant_of_one_value_of_a_sweep_names_it():
    rows = [made("vae", 25.0, spec={"latent": n}) for n in (2, 8)]
    found = elbo(*rows, made("vamp", 20.0, spec={"latent": 8}), swept={"latent": [2, 8]})
    assert {row.name for row in found.rows} == {
        "vae {latent=2}",
        "vae {latent=8}",
        "vamp {latent=8}",
    }


def test_a_run_knows_what_was_asked_for_as_a_sweep():
    stored = {"request": {"set": {"latent": [2, 8], "epochs": 5}}, "trials": []}
    assert RunRecord.from_json(stored).sweeps == {"latent": [2, 8]}
    later = stored | {"request": {"set": {}}, "sweeps": {"latent": [2, 8]}}
    assert RunRecord.from_json(later).sweeps == {"latent": [2, 8]}


def test_a_row_with_fewer_seeds_says_why():
    died = replace(made("beta", 20.0)[2], status="diverged", reason="loss was not finite")
    lost = [*made("beta", 20.0, seeds=2), died]
    text = as_markdown(
        elbo(made("vae", 25.0), made("iwae", 25.1), lost, made("vamp", 20.0, seeds=1))
    )
    few = "fewer seeds than the table's 3: not compared"
    assert "| beta [1] | 2 | -20.05" in text
    assert f"[1] 1 diverged, 2 done: loss was not finite; {few}" in text
    assert "| vamp [3] | 1 | -20.00 |" in text
    assert f"[3] {few}" in text


def ended(variant, epochs, best):
    """A row of two seeds of which the first trained so many epochs and was best then."""
    rows = made(variant, 25.0, {"epochs": 30, "patience": 5}, seeds=2)
    return [
        replace(one, epochs=e, best_epoch=b) for one, e, b in zip(rows, epochs, best, strict=True)
    ]


def test_a_row_says_in_how_many_seeds_training_ended_by_the_limit():
    found = elbo(ended("vae", (30, 30), (26, 25)), ended("iwae", (12, 30), (7, 30)))
    lines = {
        row.split("|")[1].strip(): row for row in as_markdown(found).splitlines() if "|" in row
    }
    assert lines["variant"].endswith("| at limit |")
    assert lines["vae"].endswith("| 1/2 |"), "best at 25 of 30: five epochs without a better one"
    assert lines["iwae"].endswith("| 1/2 |")
    assert "before the validation loss had stopped falling" in as_markdown(found)
    head, first, *_ = (line.split(",") for line in as_csv(found).splitlines())
    assert first[head.index("at_limit")] == "1"


def test_trials_that_do_not_say_how_long_they_trained_have_no_limit():
    assert "at limit" not in as_markdown(elbo(made("vae", 25.0)))

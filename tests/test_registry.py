"""A broken plugin costs only itself, names are taken once, and parts can be mixed."""

import random
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vaezoo.core import VAE, Spec, Unsupported
from vaezoo.hooks import Part
from vaezoo.hyperparameters import HyperparameterError
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write
from vaezoo.registry import guard, registry
from vaezoo.registry.guard import PluginError
from vaezoo.registry.mix import Mix

SPEC = Spec((1, 8, 8), latent=3, hidden=8)

GOOD = """
from vaezoo.core import VAE, Spec
from vaezoo.hooks import hookimpl, tags
from vaezoo.hyperparameters import Positive
from vaezoo.losses import ELBO
from vaezoo.networks import Gaussian, StandardNormal, Write

@tags("mine")
def {name}(spec: Spec, beta: Positive = 2.0) -> VAE:
    \"\"\"Mine.

    R + β KL

    Paper: Me 2026,
    a long title.
    \"\"\"
    return VAE(Gaussian(spec), Write(spec), StandardNormal(spec), ELBO(beta))

@hookimpl
def vaezoo_variants():
    return [{name}]
"""
HOOKS = "from vaezoo.hooks import hookimpl, Part\n@hookimpl\ndef vaezoo_variants():\n    "

RUN = "from vaezoo.hooks import hookimpl\n"  # else it is a script, and is not run

BROKEN = {
    "raises": (RUN + "1 / 0", "ZeroDivisionError: division by zero"),
    "exits": (RUN + "import sys; sys.exit(3)", "calls exit(3)"),
    "syntax": ("def f(:", "SyntaxError"),
    "custom": (RUN + "class Odd(BaseException): pass\nraise Odd('very odd')", "Odd: very odd"),
    "lacks": (
        RUN + "import no_such_package_at_all",
        "needs the package 'no_such_package_at_all', which is not installed",
    ),
    "newer": (
        RUN + "from vaezoo.core import FromTheFuture",
        "is written for another version of vaezoo",
    ),
    "misspelt": (
        "from vaezoo.hooks import hookimpl\n@hookimpl\ndef vaezoo_varants(): return []",
        "no hook is called 'vaezoo_varants'; did you mean 'vaezoo_variants'",
    ),
    "argument": (
        "from vaezoo.hooks import hookimpl\n@hookimpl\ndef vaezoo_variants(spec): return []",
        "spec",
    ),
    "unmarked": (
        "def vaezoo_variants(): return []",
        "vaezoo_variants is not marked with @hookimpl",
    ),
    "empty": ("x = 1", "brings nothing"),
    "nolist": (HOOKS + "return 3", "vaezoo_variants() must return a list, not int"),
    "none": (HOOKS + "pass", "vaezoo_variants() must return a list, not NoneType"),
    "nofunction": (HOOKS + "return ['vae']", "a variant is a function"),
    "anonymous": (HOOKS + "return [lambda spec: None]", "'<lambda>' is no name"),
    "nospec": (HOOKS + "\n        def odd(x): ...\n        return [odd]", "must be called spec"),
    "annotation": (
        HOOKS + "\n        def odd(spec, k: 'NoSuchType' = 1): ...\n        return [odd]",
        "NoSuchType",
    ),
    "reserved": (
        HOOKS + "\n        def mix(spec): ...\n        return [mix]",
        "no variant can be called 'mix'",
    ),
    "hookraises": (
        HOOKS + "raise RuntimeError('not today')",
        "vaezoo_variants(): RuntimeError: not today",
    ),
    "hookexits": (HOOKS + "raise SystemExit", "vaezoo_variants(): calls exit()"),
    "nopart": (
        "from vaezoo.hooks import hookimpl, Part\n"
        "@hookimpl\ndef vaezoo_parts(): return [Part('p', dict)]",
        "no Encoder, Decoder, Prior, Loss, Likelihood, Network or",
    ),
}


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


def causes(loaded: registry.Registry, name: str) -> list[str]:
    return [p.cause for p in loaded.problems if Path(p.file).stem == name]


def test_a_folder_of_loose_files_is_no_reason_to_ask_ours_again(tmp_path: Path):
    (tmp_path / "mine.py").write_text(GOOD.format(name="mine"))
    alone, beside = registry.load_registry(), registry.load_registry(tmp_path)
    assert beside.variants.keys() - alone.variants.keys() == {"mine"}
    assert beside.metrics["likelihood"] is alone.metrics["likelihood"]
    assert set(beside.plugins) > set(alone.plugins)
    # two that train at a time hold different processes
    executors = [known.executors["local"].build() for known in (alone, beside)]
    assert executors[0].submit != executors[1].submit


def test_whatever_a_plugin_does_it_is_one_line_and_the_others_are_there(tmp_path: Path):
    write(tmp_path, aaa_first=GOOD.format(name="mine_a"), zzz_last=GOOD.format(name="mine_z"))
    write(tmp_path, **{name: text for name, (text, _) in BROKEN.items()})
    loaded = registry.load_registry(tmp_path)
    assert {"mine_a", "mine_z", "vae", "mix"} <= loaded.variants.keys()
    for name, (_, expected) in BROKEN.items():
        (cause,) = causes(loaded, name)
        assert expected in cause, name
        assert "\n" not in cause


def test_all_that_vaezoo_brings_loads_without_a_problem():
    assert [str(p) for p in registry.load_registry().problems if not p.is_note] == []


def test_a_strict_load_refuses_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, bad=RUN + "1 / 0")
    monkeypatch.setenv("VAEZOO_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match=r"bad\.py.*division by zero"):
        registry.load_registry(tmp_path)
    assert registry.load_registry(tmp_path, strict=False).variants


def test_a_plugin_that_hangs_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stubborn = (
        RUN
        + "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except Exception: pass\n"
    )
    write(tmp_path, hangs=stubborn, later=GOOD.format(name="later"))
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", "0.3")
    start = time.perf_counter()
    loaded = registry.load_registry(tmp_path)
    assert causes(loaded, "hangs") == ["import: is not done after 0.3 s (VAEZOO_PLUGIN_TIMEOUT)"]
    assert "later" in loaded.variants
    assert time.perf_counter() - start < 45  # it sleeps for a minute, again and again


def test_time_in_which_others_have_the_processor_is_not_the_plugin_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", "0.3")
    text = "import time\nfrom vaezoo.hooks import hookimpl\ntime.sleep(1.0)\n"
    text += "@hookimpl\ndef vaezoo_variants():\n    return []\n"
    (tmp_path / "waits.py").write_text(text)
    monkeypatch.setattr(guard, "waited", lambda process="self": 0.9 * time.monotonic())
    assert causes(registry.load_registry(tmp_path), "waits") == []
    monkeypatch.setattr(guard, "waited", lambda process="self": 0.0)
    (tmp_path / "late.py").write_text(text)
    (late,) = causes(registry.load_registry(tmp_path), "late")
    assert late == "import: is not done after 0.3 s (VAEZOO_PLUGIN_TIMEOUT)"


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "0"])
def test_a_bad_time_limit_is_said(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAEZOO_PLUGIN_TIMEOUT", text)
    with pytest.raises(PluginError, match="VAEZOO_PLUGIN_TIMEOUT must be a positive number"):
        registry.load_registry(tmp_path)


def test_what_a_plugin_prints_is_caught_and_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    write(tmp_path, loud=GOOD.format(name="loud") + "\nprint('hello\\nworld')")
    loaded = registry.load_registry(tmp_path)
    assert causes(loaded, "loud") == ["import: prints 'hello world'"]
    assert "loud" in loaded.variants
    assert capfd.readouterr() == ("", "")


def test_a_plugin_that_reseeds_is_reported_and_the_state_put_back(tmp_path: Path):
    seeds = (
        "import random, numpy, torch\nrandom.seed(0); numpy.random.seed(0); torch.manual_seed(0)\n"
    )
    write(tmp_path, seeds=seeds + GOOD.format(name="seeds"))
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()
    loaded = registry.load_registry(tmp_path)
    assert "changes the global random state" in causes(loaded, "seeds")[0]
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


def test_a_name_that_is_taken_stays_with_the_first(tmp_path: Path):
    write(
        tmp_path,
        thief=GOOD.format(name="vae"),
        one=GOOD.format(name="twice"),
        two=GOOD.format(name="twice"),
    )
    loaded = registry.load_registry(tmp_path)
    assert loaded.variants["vae"].plugin.distribution == "vaezoo"
    assert Path(loaded.variants["twice"].plugin.file).stem == "one"
    assert re.search(
        r"the variant 'vae' is already brought by .*vanilla\.py", causes(loaded, "thief")[0]
    )
    assert "already brought by" in causes(loaded, "two")[0]


METRIC = """
from vaezoo.hooks import Column, Metric, hookimpl

def measure(evaluation):
    return {{}}

@hookimpl
def vaezoo_metrics():
    return [Metric("{name}", (Column("own_{name}", "", ""), Column("{column}", "", "")), measure)]
"""


def test_of_two_metrics_with_one_column_the_first_keeps_it(tmp_path: Path):
    write(
        tmp_path,
        one=METRIC.format(name="one", column="shared"),
        thief=METRIC.format(name="thief", column="elbo"),
        two=METRIC.format(name="two", column="shared"),
    )
    loaded = registry.load_registry(tmp_path)
    assert "one" in loaded.metrics
    assert {"two", "thief"}.isdisjoint(loaded.metrics)
    said = r"the metric 'two' is left out: the column 'shared' is brought by the metric 'one' of "
    assert re.search(said + r".*one\.py", causes(loaded, "two")[0])
    assert "'elbo' is brought by the metric 'likelihood'" in causes(loaded, "thief")[0]


def test_names_are_sorted_and_the_same_every_time(tmp_path: Path):
    write(tmp_path, b=GOOD.format(name="b_one"), a=GOOD.format(name="a_one"))
    loaded = registry.load_registry(tmp_path)
    kinds = (loaded.variants, loaded.datasets, loaded.metrics, loaded.figures)
    for names in (*kinds, *loaded.parts.values()):
        assert list(names) == sorted(names)


def test_a_file_that_changes_is_loaded_anew(tmp_path: Path):
    write(tmp_path, one=GOOD.format(name="before"))
    assert registry.load_registry(tmp_path) is registry.load_registry(tmp_path)
    write(tmp_path, one=GOOD.format(name="after_all"))
    assert "after_all" in registry.load_registry(tmp_path).variants


def test_a_folder_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(PluginError, match="does not exist"):
        registry.load_registry(tmp_path / "nix")


def test_an_installed_package_is_walked_and_another_version_refused(tmp_path: Path):
    package = tmp_path / "strangers"
    package.mkdir()
    write(package, __init__="", fine=GOOD.format(name="strange"), bad="1 / 0", _private="1 / 0")
    _distribution(tmp_path, "stranger", "strangers", "vaezoo>=0.1")
    write(tmp_path, outdated=GOOD.format(name="outdated"))
    _distribution(tmp_path, "outdated", "outdated", "vaezoo>=99")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from vaezoo.registry import load_registry
r = load_registry()
print('strange' in r.variants, 'outdated' in r.variants)
for p in r.problems:
    print(p)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("True False\n")
    assert re.search(
        r"^stranger 1\.0: .*bad\.py: import: ZeroDivisionError: division by zero$",
        said,
        re.MULTILINE,
    )
    assert re.search(
        r"^outdated 1\.0: outdated: wants vaezoo>=99, and this is vaezoo", said, re.MULTILINE
    )
    assert "_private" not in said


def _distribution(folder: Path, name: str, module: str, requires: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: {requires}\n"
    )
    (info / "entry_points.txt").write_text(f"[vaezoo]\n{name} = {module}\n")


def test_a_variant_knows_its_words_and_its_recipe(tmp_path: Path):
    write(tmp_path, one=GOOD.format(name="wordy"))
    variant = registry.load_registry(tmp_path).variants["wordy"]
    assert variant.paper == "Me 2026, a long title."
    assert variant.tags == {"mine", "static"}  # it is not recurrent
    model = variant(SPEC, beta="3")
    assert model.recipe is not None
    assert (model.recipe.variant, model.recipe.hyperparameters, model.recipe.spec) == (
        "wordy",
        {"beta": 3.0},
        SPEC,
    )
    assert model.recipe.source_hash == variant.plugin.source_hash
    with pytest.raises(HyperparameterError, match="beta is float > 0"):
        variant(SPEC, beta=-1)


def test_a_variant_that_returns_no_model_is_said(tmp_path: Path):
    write(tmp_path, odd=HOOKS + "\n        def odd(spec): return 3\n        return [odd]")
    with pytest.raises(TypeError, match=r"variant 'odd' .* must return a Model, not int"):
        registry.load_registry(tmp_path).variants["odd"](SPEC)


def test_every_variant_says_what_is_new_and_cites_its_paper():
    for name, variant in registry.load_registry().variants.items():
        assert variant.doc, name
        assert variant.paper, name


def _model(**given: object) -> VAE:
    model = registry.load_registry().variants["mix"](SPEC, **given)
    assert isinstance(model, VAE)
    return model


def test_mix_without_arguments_is_the_vanilla_one():
    torch.manual_seed(0)
    mixed = _model()
    torch.manual_seed(0)
    vanilla = registry.load_registry().variants["vae"](SPEC)
    x = torch.ones(2, 1, 8, 8)
    results = []
    for model in (mixed, vanilla):
        torch.manual_seed(1)
        model.load_state_dict(mixed.state_dict())
        results.append(model(x)["loss"])
    assert results[0] == results[1]


def test_mix_passes_dotted_keys_to_the_part():
    model = _model(prior="gmm", **{"prior.components": 7})
    assert any(7 in p.shape for p in model.prior.parameters())
    assert model.recipe is not None
    assert model.recipe.hyperparameters["prior.components"] == 7


def test_mix_takes_a_likelihood_and_a_network():
    model = _model(likelihood="logistic", network="rnn")
    assert model(torch.ones(2, 1, 8, 8))["loss"].isfinite()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prior": "vomp"}, "no prior is called 'vomp'"),
        ({"prior": "gmn"}, "did you mean 'gmm'"),
        ({"prio": "gmm"}, "no hyperparameter 'prio'; did you mean 'prior'"),
        ({"prior": "gmm", "prior.components": 0}, "prior gmm[components=0] is out of range"),
        ({"prior.components": 3}, "prior normal has no hyperparameter 'components'"),
        ({"posterior": "iaf", "encoder": "iaf"}, "encoder twice"),
        ({"likelihood": "poison"}, "no likelihood is called 'poison'"),
    ],
)
def test_mix_refuses_in_one_sentence(given: dict[str, object], words: str):
    with pytest.raises(HyperparameterError) as caught:
        registry.load_registry().variants["mix"].resolve(given)
    assert words in str(caught.value)


def test_mix_refuses_a_bound_where_there_is_none():
    with pytest.raises(Unsupported, match=r"needs the density q\(z\|x\), and this model has none"):
        _model(posterior="deterministic")


def shared(spec: Spec, encoder: Gaussian) -> StandardNormal:
    """A prior that must be built after the encoder."""
    prior = StandardNormal(spec)
    prior.encoder = encoder
    return prior


def needy(spec: Spec, prior: StandardNormal) -> Gaussian:
    """An encoder that must be built after the prior."""
    return Gaussian(spec)


def a_mix() -> Mix:
    parts = {
        "encoder": {"gaussian": Gaussian, "needy": needy},
        "decoder": {"network": Write},
        "prior": {"normal": StandardNormal, "shared": shared},
        "loss": {"elbo": ELBO},
    }
    return Mix(
        {
            kind: {name: Part(name, build) for name, build in of.items()}
            for kind, of in parts.items()
        }
    )


def test_mix_builds_parts_in_the_order_in_which_they_need_each_other():
    mixed = a_mix()
    for given in ({"prior": "shared"}, {"encoder": "needy"}):
        model = mixed.build(SPEC, mixed.resolve(given))
        assert isinstance(model, VAE)
    both = mixed.build(SPEC, mixed.resolve({"prior": "shared"}))
    assert isinstance(both, VAE)
    assert both.prior.encoder is both.encoder


def test_mix_says_when_parts_need_each_other_in_a_circle():
    mixed = a_mix()
    with pytest.raises(
        Unsupported, match="encoder needy needs the prior, prior shared needs the encoder"
    ):
        mixed.build(SPEC, mixed.resolve({"encoder": "needy", "prior": "shared"}))


def test_a_mixed_models_hash_depends_on_the_files_of_its_parts():
    mix = registry.load_registry().variants["mix"]
    hashes = {
        mix.plugin_for(mix.resolve(given)).source_hash
        for given in ({}, {"prior": "gmm"}, {"encoder": "iaf"})
    }
    assert len(hashes) == 3


def test_mix_trains_another_variants_model_by_another_loss():
    known = registry.load_registry()
    (choice,) = known.choose_variants("mix[model=vrnn,loss=iwae,loss.k=3]")
    model = choice.entry(
        Spec((7, 5), latent=3, hidden=8, network="rnn", has_gaps=True), **choice.values
    )
    assert (type(model).__name__, model.loss.k) == ("VRNN", 3)
    (other,) = known.choose_variants("mix[model=srnn,loss=iwae]")
    assert (
        choice.entry.plugin_for(choice.values).source_hash
        != other.entry.plugin_for(other.values).source_hash
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mix[model=vrn]", "no model is called 'vrn'; did you mean 'vrnn'"),
        ("mix[model=vrnn,prior=vamp]", "no hyperparameter 'prior'"),
        ("mix[model=vrnn,model.latents=3]", "vrnn has no hyperparameter 'latents'"),
    ],
)
def test_mix_of_a_model_refuses_what_cannot_be(text, words):
    with pytest.raises(registry.SelectionError, match=words):
        registry.load_registry().choose_variants(text)


def test_a_loss_that_treats_parts_apart_refuses_a_model_without_them():
    (choice,) = registry.load_registry().choose_variants("mix[model=vrnn,loss=piwae]")
    with pytest.raises(Unsupported, match="parts"):
        choice.entry(Spec((7, 5), latent=3, hidden=8), **choice.values)
    (choice,) = registry.load_registry().choose_variants("mix[model=ae,loss=iwae]")
    with pytest.raises(Unsupported, match="deterministic encoder"):
        choice.entry(Spec((1, 8, 8)), **choice.values)

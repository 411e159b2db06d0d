"""Walks through codes, maps of them, codebooks, nearest training rows, points and tables: what is
kept of a model, and what is drawn of it.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from vaezoo.bench.report.figures import clouds, codebook, latents, neighbours, traversals
from vaezoo.bench.workers import latents as kept, material
from vaezoo.core import Spec
from vaezoo.data.data import Card, Data
from vaezoo.registry import registry
from vaezoo.seeds import seeded

VARIANTS = registry.load_registry().variants
CARD = Card("made", "made here", "none", "none")


def data_of(shape, rows=60):
    likelihood = "bernoulli" if len(shape) == 3 else "normal"
    spec = Spec(shape, likelihood, classes=3, latent=4, hidden=8)
    with seeded("rows"):
        x = torch.randn(rows, *shape)
    x = (x > 0).float() if len(shape) == 3 else x
    y = torch.arange(rows) % 3
    labels = {"train": y, "validation": y, "test": y}
    return Data("made", spec, x, x + 0.0, x.flip(0), CARD, labels=labels)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """`saved(name, shape)`: the material of an untrained model."""

    def make(name, shape):
        folder = tmp_path_factory.mktemp(name)
        data = data_of(shape)
        with seeded("weights"):
            model = VARIANTS[name](data.spec)
        material.save_material(model, data, folder, "cpu")
        return load_file(folder / "figures.safetensors")

    return make


@pytest.fixture(scope="module")
def pictures(saved):
    return saved("vae", (1, 4, 4))


def test_a_traversal_changes_one_number_from_quantile_to_quantile(pictures):
    assert pictures["traversal"].shape == (4, kept.STEPS, 1, 4, 4)
    assert (np.diff(pictures["traversal_values"], axis=1) > 0).all()
    assert sorted(pictures["traversal_units"]) == [0, 1, 2, 3]
    for line in pictures["traversal"]:
        assert np.abs(np.diff(line, axis=0)).max() > 0


def test_an_interpolation_stands_between_the_two_rows_and_their_reconstructions(pictures):
    path = pictures["interpolation"]
    assert path.shape == (kept.PAIRS, kept.STEPS + 2, 1, 4, 4)
    for i in range(kept.PAIRS):
        np.testing.assert_array_equal(path[i, 0], pictures["x"][2 * i])
        np.testing.assert_allclose(path[i, 1], pictures["reconstruction"][2 * i], atol=1e-6)
        np.testing.assert_allclose(path[i, -2], pictures["reconstruction"][2 * i + 1], atol=1e-6)


def test_a_map_has_the_two_axes_of_largest_variance(pictures):
    assert pictures["latent_map"].shape == (60, 2)
    spread = pictures["latent_map"].std(0)
    assert spread[0] >= spread[1] > 0
    assert 0.5 < pictures["latent_share"][0] <= 1
    np.testing.assert_array_equal(pictures["latent_labels"], np.arange(60) % 3)


def test_a_neighbour_is_the_nearest_training_row(pictures):
    train = data_of((1, 4, 4)).train.numpy()
    samples = pictures["neighbour_sample"]
    np.testing.assert_array_equal(samples, pictures["samples"][: len(samples)])
    every = np.sqrt(((samples[:, None] - train) ** 2).sum((2, 3, 4)))
    np.testing.assert_allclose(pictures["neighbour_distance"], every.min(1), rtol=1e-5)
    np.testing.assert_array_equal(pictures["neighbour"], train[every.argmin(1)])
    assert pictures["neighbour_of_test"] == 0  # here test rows are training rows


def test_entries_of_a_codebook_are_counted_and_other_codes_have_none(saved, pictures):
    found = saved("vq", (1, 4, 4))
    slots = found["codebook"].sum() / 60
    assert slots == int(slots) >= 1
    assert (np.diff(found["codebook"]) <= 0).all()
    assert len(found["codebook"]) <= found["codebook_size"][0]
    assert "codebook" not in pictures
    (figure,) = [codebook.panels([("vq", found)], 3)]
    assert f"{len(found['codebook'])} of" in figure.axes[0].get_title()


def test_points_are_drawn_on_the_scale_of_the_data_with_what_lies_outside_counted(saved):
    found = saved("vae", (2,))
    assert found["cloud"].shape == found["cloud_data"].shape == (60, 2)
    away = {**found, "cloud": found["cloud"] + 1e3}
    figure = clouds.scatters([("vae", found), ("away", away)], 4)
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert len(figure.axes[0].get_xticks()) > 1
    assert figure.axes[1].get_title() == "away (60 outside)"


def test_a_marginal_of_the_model_is_a_density_beside_that_of_the_data(saved):
    found = saved("vae", (5,))
    assert found["cloud"].shape == (60, 5)
    figure = clouds.histograms([("vae", found)], range(5))
    assert [ax.get_title() for ax in figure.axes[:2]] == ["column 1", "column 2"]
    bars = figure.axes[0].patches[: clouds.BINS]
    area = sum(bar.get_width() * bar.get_height() for bar in bars)
    assert area == pytest.approx(1)


def test_bins_of_a_column_of_counts_stand_around_whole_numbers():
    np.testing.assert_array_equal(clouds._edges(np.array([0.0, 1, 1, 3])), np.arange(-0.5, 4))


def test_names_of_columns_come_from_the_file():
    letters = np.array([ord(one) for one in "age\0größe\0"], np.float32)
    assert clouds._names({"cloud_names": letters}) == ["age", "größe"]


def test_every_figure_of_codes_has_a_panel_a_variant(pictures):
    walks = traversals.blocks([("vae", pictures["traversal"][:2], ["z1", "z2"])] * 2, "t")
    names = [text.get_text() for text in walks.axes[0].texts]
    assert names == ["vae  z1", "z2", "vae  z1", "z2"]
    mapped = latents.maps([("vae", pictures)], 3)
    assert {text.get_text() for text in mapped.axes[0].texts} == {"0", "1", "2"}
    near = neighbours.pairs([("vae", pictures)])
    assert len(near.axes[0].get_images()) == 2 * kept.NEIGHBOURS
    words = [text.get_text() for text in near.axes[0].texts]
    assert words[:2] == ["vae", "nearest"]
    assert all(float(distance) > 0 for distance in words[2:])
    assert len(words) == 2 + kept.NEIGHBOURS


@pytest.mark.parametrize("name", ["vq_ema2", "rvq"])
def test_of_a_codebook_a_level_the_size_of_one_is_not_said(saved, name):
    assert "codebook_size" not in saved(name, (1, 4, 4))


def test_rows_with_gaps_have_no_nearest_row():
    data = data_of((1, 4, 4))
    with seeded("weights"):
        model = VARIANTS["vae"](data.spec)
    gaps = replace(data, spec=replace(data.spec, has_gaps=True))
    assert kept.neighbours(model, data, "cpu")
    assert not kept.neighbours(model, gaps, "cpu")


def test_in_a_map_no_two_classes_look_alike_and_rows_without_a_label_are_grey(pictures):
    labels = np.arange(60) % 10 - 1
    mapped = latents.maps([("vae", {**pictures, "latent_labels": labels})], 3)
    (rest, *lines) = mapped.axes[0].get_lines()
    looks = {(one.get_color(), one.get_markerfacecolor()) for one in lines}
    assert len(looks) == len(lines) == 9
    assert rest.get_color() == "0.75"
    assert len(rest.get_xdata()) == 6
    assert {text.get_text() for text in mapped.axes[0].texts} == {str(k) for k in range(9)}

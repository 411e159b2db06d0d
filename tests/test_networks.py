"""The shared networks: shapes, initialisation, padding, and one backward pass for two players."""

import math
from dataclasses import replace

import pytest
import torch

from tests.conftest import CONV, IMAGE, SEQUENCE, VECTOR, rows_of
from vaezoo.convolutions import Doubling
from vaezoo.core import Spec, Unsupported
from vaezoo.distributions import to_length
from vaezoo.networks import (
    Read,
    Write,
    from_steps,
    frozen,
    mlp,
    reverse_steps,
    step_mask,
    to_steps,
)
from vaezoo.parts import names


@pytest.mark.parametrize("likelihood", names("likelihood"))
@pytest.mark.parametrize("network", ["mlp", "conv", "rnn"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 30, 29), (12, 5), (6,)])
def test_every_pair_writes_every_likelihood_or_says_why_not(shape, network, likelihood):
    spec = Spec(shape, likelihood, network=network, hidden=16, latent=3, levels=5)
    if (network == "conv" and len(shape) != 3) or (network == "rnn" and len(shape) == 1):
        with pytest.raises(Unsupported, match="needs"):
            Read(spec, 4)
        return
    read, write = Read(spec, 4), Write(spec)
    x = torch.rand(2, *shape).round()
    assert read(x).shape == (2, 4)
    px = write(torch.randn(3, 2, 3))
    assert px.log_prob(x).shape == (3, 2)
    assert px.log_prob(x).isfinite().all()
    assert px.mean.shape == px.sample().shape == (3, 2, *shape)


@pytest.mark.parametrize("spec", [IMAGE, CONV, replace(IMAGE, network="rnn")])
def test_every_weight_gets_a_gradient_through_the_pair(spec):
    read, write = Read(spec, spec.latent), Write(spec)
    write(read(rows_of(spec, 3))[None]).log_prob(rows_of(spec, 3)).sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for m in (read, write) for p in m.parameters()
    )


@pytest.mark.parametrize("network", ["rnn", "mlp"])
def test_features_do_not_change_when_padding_is_lengthened(network):
    spec, x = replace(SEQUENCE, network=network), rows_of(SEQUENCE, 6)
    read = Read(spec, 4)
    torch.testing.assert_close(read(to_length(x, 40)), read(x), rtol=0, atol=1e-6)


def test_features_of_a_row_do_not_depend_on_the_rows_beside_it():
    read, x = Read(SEQUENCE, 4), rows_of(SEQUENCE, 6)
    torch.testing.assert_close(
        torch.cat([read(row[None]) for row in x]), read(x), rtol=0, atol=1e-6
    )


def test_mask_ends_at_the_last_step_with_an_entry():
    x = torch.zeros(2, 4, 3)
    x[0, 2:] = math.nan
    x[1, 1], x[1, 3, :2] = math.nan, math.nan
    assert step_mask(x).tolist() == [[True, True, False, False], [True, True, True, True]]


def test_reversal_stays_within_each_rows_length():
    x = torch.tensor([[[1.0], [2.0], [3.0], [math.nan]], [[5.0], [6.0], [7.0], [8.0]]])
    back = reverse_steps(x, step_mask(x)).squeeze(-1)
    assert back[0, :3].tolist() == [3, 2, 1]
    assert back[1].tolist() == [8, 7, 6, 5]


def test_an_image_read_as_rows_comes_back_as_it_was():
    spec = Spec((3, 5, 4))
    x = torch.rand(2, 3, 5, 4)
    torch.testing.assert_close(from_steps(to_steps(x, spec)[None], spec)[0], x)
    # step 1 is row 1 of every channel
    assert torch.equal(to_steps(x, spec)[:, 1], x[:, :, 1].flatten(1))


@pytest.mark.parametrize("precision", [(torch.float32, 2e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_without_gradients_is_the_one_with_them(channels, padding, precision):
    kind, tolerance = precision
    layer = Doubling(5, channels, padding).to(kind)
    x = torch.randn(40, 5, 6, 7, dtype=kind, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        fast = layer(x)
    slow = layer(x)
    assert slow.requires_grad
    assert fast.shape == slow.shape
    assert (fast - slow).abs().max() < tolerance * slow.abs().max()


def test_weights_start_in_the_written_range():
    layer = mlp(100, 400)[0]
    for p in (layer.weight, layer.bias):
        assert p.abs().max() <= 0.1
        assert p.abs().max() > 0.09


def test_no_gradient_reaches_a_frozen_module_but_it_flows_through():
    net, x = torch.nn.GRU(2, 3, batch_first=True), torch.randn(4, 5, 2, requires_grad=True)
    with frozen(net):
        net(x)[0].sum().backward()
    assert all(p.grad is None for p in net.parameters())
    assert x.grad.abs().sum() > 0
    assert all(p.requires_grad for p in net.parameters())


def test_a_vector_has_no_time_and_no_space():
    for network in ("rnn", "conv"):
        with pytest.raises(Unsupported):
            Read(replace(VECTOR, network=network), 2)

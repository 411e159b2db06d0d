"""Seeds: by name, stable, and without a trace in the global generator."""

import torch

from vaezoo.seeds import generator_for, seed_for, seeded


def test_a_seed_is_a_function_of_the_words_and_of_their_order():
    # pinned: results on disk were made with it
    assert seed_for("digits", 0, "order") == 3501364480045183895
    assert (
        len({seed_for("a", "b"), seed_for("b", "a"), seed_for("ab"), seed_for("a", "b", "")}) == 4
    )


def test_a_seeded_block_is_repeatable_and_leaves_the_outside_alone():
    torch.manual_seed(3)
    outside = torch.rand(2)
    torch.manual_seed(3)
    with seeded("x"):
        first = torch.rand(2)
    with seeded("x"):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.rand(2), outside)
    assert not torch.equal(
        torch.rand(2, generator=generator_for("x", 1)),
        torch.rand(2, generator=generator_for("x", 2)),
    )


def test_words_that_hold_the_mark_between_words_are_not_two_words():
    seeds = {seed_for("a\0b"), seed_for("a", "b"), seed_for("a\0", "b"), seed_for("a", "\0b")}
    assert len(seeds) == 4
    assert seed_for("a\udc80") != seed_for("a")  # a name of a file that is no UTF-8

"""The token found by way of a shortlist is the one with the greatest logit of all."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.xdecoder.heads import WordHead
from models.xdecoder.shortlist import Shortlist


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0.0, 0.01, 1.0, 3.0]),
    size=st.sampled_from([1e-12, 1.0, 1e6]),
    near=st.sampled_from([0.0, 1e-6, 1e-3, 1.0]),
)
def test_the_token_found_has_the_greatest_logit(
    seed: int, spread: float, size: float, near: float
) -> None:
    lengths = (spread * noise(5000, 1, seed=seed)).exp()
    tokens = size * lengths * noise(5000, 64, seed=seed + 1)
    tokens[2500:] = tokens[:2500] * (1 + near * noise(2500, 1, seed=seed + 2))
    query = tokens[7] / size + noise(64, seed=seed + 3)
    logits = tokens.double() @ query.double()
    found = logits[Shortlist(tokens).likeliest(query)]
    # Among logits that float32 cannot tell apart, any may be found.
    assert found >= logits.max() - 1e-5 * tokens[logits.argmax()].norm() * query.norm()


def test_few_tokens_are_read_in_full() -> None:
    tokens, query = noise(49408, 64, seed=0), noise(64, seed=1)
    shortlist = Shortlist(tokens)
    logits = tokens @ query
    rest = logits.argsort(descending=True)[100:]
    shortlist._tokens[rest] = torch.nan  # would be found if it were read
    assert int(shortlist.likeliest(query)) == int(logits.argmax())


def test_a_query_of_zeros_has_all_tokens_alike() -> None:
    assert 0 <= int(Shortlist(noise(5000, 64, seed=0)).likeliest(torch.zeros(64))) < 5000


def test_a_query_that_is_no_number_finds_what_all_logits_find() -> None:
    tokens, query = noise(5000, 64, seed=0), noise(64, seed=1)
    query[3] = torch.nan
    assert Shortlist(tokens).likeliest(query) == (tokens @ query).argmax()


def test_a_width_that_would_be_read_beyond_its_end_is_not_asked() -> None:
    assert Shortlist.suits(torch.zeros(1, 64), torch.zeros(20000, 64))
    assert not Shortlist.suits(torch.zeros(1, 72), torch.zeros(20000, 72))


def test_the_head_finds_the_greatest_of_its_logits_for_one_and_for_many() -> None:
    head, tokens = WordHead(32, 64), noise(20000, 64, seed=2)
    assert Shortlist.suits(torch.zeros(1, 64), tokens)
    for count in (1, 5):
        states = noise(count, 32, seed=count)
        with torch.inference_mode():
            expected = head.logits(states, tokens).argmax(dim=1)
            assert torch.equal(head.likeliest(states, tokens), expected)
    tokens.mul_(-1)
    states = noise(1, 32, seed=1)
    with torch.inference_mode():
        assert torch.equal(head.likeliest(states, tokens), head.logits(states, tokens).argmax(1))

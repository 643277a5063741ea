"""Every example once an epoch, whoever asks and from wherever."""

from hypothesis import given
from hypothesis import strategies as st
from line_task import LINE, Numbers

from bench.data.order import WINDOW, Order, ShardOrder
from bench.train.mixture import Mixture
from bench.train.processes import Share

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any).map(tuple)


@given(st.integers(1, 300), st.integers(0, 2**31), st.integers(0, 5))
def test_an_epoch_has_every_number_once(n, seed, epoch):
    order = Order(n, seed)
    assert sorted(order[i] for i in range(epoch * n, epoch * n + n)) == list(range(n))


def test_epochs_and_seeds_differ():
    first, second = ([Order(50, 0)[i] for i in range(start, start + 50)] for start in (0, 50))
    assert len({tuple(first), tuple(second), tuple(Order(50, 1)[i] for i in range(50))}) == 3


def test_a_world_without_end_costs_nothing():
    assert len({Order(2**40, 0)[i] for i in range(1000)}) == 1000


@given(SIZES, st.integers(0, 2**20), st.integers(0, 3))
def test_an_epoch_of_shards_has_every_pair_once(sizes, seed, epoch):
    order, total = ShardOrder(sizes, seed), sum(sizes)
    found = sorted(order[i] for i in range(epoch * total, (epoch + 1) * total))
    assert found == [(shard, i) for shard, size in enumerate(sizes) for i in range(size)]


def test_pairs_of_few_shards_are_read_at_a_time():
    order = ShardOrder((100,) * 50, seed=3)
    for start in range(0, 5000, 100 * WINDOW):
        places = [order[i] for i in range(start, min(start + 100 * WINDOW, 5000))]
        assert len({shard for shard, _ in places}) <= WINDOW
        assert places != sorted(places)


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]), st.integers(0, 20))
def test_processes_share_out_the_batch_of_one(world, passes, step):
    def numbers(passes, share):
        mixture = Mixture(LINE.parts, (Numbers(40),), passes, share=share)
        items = range(step * passes, (step + 1) * passes)
        return [round(float(x) * 64) for item in items for x in mixture[item][0].x]

    whole = numbers(1, Share())
    parts = [numbers(passes, Share(rank, world)) for rank in range(world)]
    assert sorted(x for part in parts for x in part) == sorted(whole)


def test_segments_keep_their_epochs_whatever_the_number_of_pairs():
    parts = LINE.parts * 2
    for pairs in (10, 1000):
        mixture = Mixture(parts, (Numbers(16), Numbers(pairs)))
        seen = [round(float(x) * 64) for step in range(4) for x in mixture[step][0].x]
        assert sorted(seen) == sorted([*range(16)] * 2)

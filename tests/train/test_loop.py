"""What one step does, on a model of two dozen parameters."""

from dataclasses import replace

import pytest
import torch
from line_task import LINE, LineLearner, Numbers

from bench.errors import UsageError
from bench.recipe import Optimiser, Precision
from bench.train.loop import Diverged, begin, parameter_groups, train
from bench.train.mixture import Mixture


def trained(recipe, learner=None, steps=None):
    """The learner, its state and the steps, after a recipe."""
    torch.manual_seed(0)
    learner = learner or LineLearner()
    state = begin(learner, recipe)
    mixture = Mixture(recipe.parts, (Numbers(),), recipe.accumulate, recipe.seed)
    done = []
    for step in train(learner, mixture, recipe, state):
        done.append(step)
        if step.number == steps:
            break
    return learner, state, done


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


def test_losses_fall():
    _, _, steps = trained(replace(LINE, steps=200))
    assert steps[-1].loss < 0.1 * steps[0].loss
    assert [step.number for step in steps] == list(range(1, 201))


def test_accumulated_passes_are_one_batch():
    whole, _, first = trained(LINE)
    passes, _, second = trained(replace(LINE, accumulate=4))
    torch.testing.assert_close(weights(whole), weights(passes), rtol=1e-4, atol=1e-5)
    assert [s.loss for s in first] == pytest.approx([s.loss for s in second], rel=1e-4)


def test_a_batch_that_cannot_be_split_is_refused():
    with pytest.raises(UsageError, match="split evenly"):
        Mixture(LINE.parts, (Numbers(),), passes=3)


def test_frozen_parameters_stay_and_others_go_at_their_share():
    recipe = replace(
        LINE, optimiser=Optimiser(rate=1e-2, shares=(("slope.", 0), ("head.", 0.5)), decay=0.1)
    )
    before = LineLearner()
    torch.manual_seed(0)
    before = LineLearner()
    learner, state, _ = trained(recipe)
    assert torch.equal(before.model.slope.weight, learner.model.slope.weight)
    assert not torch.equal(before.model.head.weight, learner.model.head.weight)
    assert {(g["share"], g["weight_decay"]) for g in state.optimiser.param_groups} == {
        (1.0, 0.0),  # the norm
        (0.5, 0.1),
    }


def test_norms_are_decayed_where_asked():
    settings = Optimiser(decay=0.1, decayed_norms=("norm",))
    assert {group.decay for group in parameter_groups(LineLearner(), settings)} == {0.1}


def test_only_what_is_named_is_trained():
    (group,) = parameter_groups(LineLearner(), Optimiser(trained=("head.",)))
    assert sorted(group.parameters) == ["head.bias", "head.weight"]


def test_a_recipe_that_trains_nothing_is_refused():
    recipe = replace(LINE, optimiser=Optimiser(trained=("nothing.",)))
    with pytest.raises(UsageError, match=r"would train nothing: .* \(nothing\.\)"):
        begin(LineLearner(), recipe)


def test_the_whole_gradient_is_clipped():
    tight = replace(LINE, steps=1, optimiser=Optimiser(rate=1e-2, clip=1e-9, decay=0.0))
    torch.manual_seed(0)
    before = weights(LineLearner())
    learner, state, (step,) = trained(tight)
    first_moments = [s["exp_avg"].norm() for s in state.optimiser.state.values()]
    assert step.gradient_norm > 1e-3
    assert float(torch.stack(first_moments).norm()) < 1e-9
    assert not torch.equal(before, weights(learner))  # Adam does not mind the scale


def test_the_mean_of_weights_lags_behind_them():
    learner, state, _ = trained(LINE)
    mean = torch.cat(
        [state.average[name].flatten() for name, _ in learner.model.named_parameters()]
    )
    torch.manual_seed(0)
    start, end = weights(LineLearner()), weights(learner)
    assert 0 < (mean - end).norm() < (start - end).norm()


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16])
def test_a_loss_that_is_no_number_stops_before_the_weights_change(precision):
    recipe = replace(LINE, precision=precision)
    learner = LineLearner(poison=4)
    state = begin(learner, recipe)
    steps = train(learner, Mixture(recipe.parts, (Numbers(),)), recipe, state)
    for _ in range(3):
        next(steps)
    before = weights(learner)
    with pytest.raises(Diverged, match="Step 4 is not finite, in loss") as caught:
        next(steps)
    assert torch.equal(before, weights(learner))
    assert state.step == 3
    assert caught.value.batches


class Overflowing(LineLearner):
    """Its loss overflows, and its gradient does not."""

    def forward(self, batches, draw):
        loss, parts = super().forward(batches, draw)
        return loss + torch.tensor(float("inf")), parts


def test_a_loss_that_overflows_changes_no_weight():
    learner = Overflowing()
    before = weights(learner)
    with pytest.raises(Diverged, match="Step 1 is not finite, in loss"):
        trained(LINE, learner)
    assert torch.equal(before, weights(learner))


def test_gradients_that_are_never_numbers_are_no_matter_of_scale():
    learner = LineLearner()
    learner.model.head.weight.register_hook(lambda gradient: gradient * float("nan"))
    recipe = replace(LINE, precision=Precision.FLOAT16, steps=50)
    with pytest.raises(Diverged, match="in its gradient"):
        trained(recipe, learner)


def test_a_step_is_the_same_whenever_it_is_done():
    recipe = replace(LINE, steps=6)
    _, _, whole = trained(recipe, LineLearner(noise=0.5))
    learner = LineLearner(noise=0.5)
    torch.manual_seed(0)
    _, _, again = trained(recipe, learner)
    torch.rand(100)  # what others draw meanwhile changes nothing
    assert [s.loss for s in whole[:3]] != [s.loss for s in whole[3:]]
    assert len(again) == 6

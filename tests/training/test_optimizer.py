"""Seeds, learning rate, and the optimiser."""
import numpy as np
import pytest
from training_runs import assert_same_run, rows, tiny_run

from tools.base.errors import UserError
from tools.runtime import jt, nn, set_seed
from tools.training.optimizer import Adam, new_optimizer
from tools.training.optimizers import OPTIMIZERS
from tools.training.run import learning_rate
from tools.weights.networks import weights_of


def test_the_same_seed_gives_the_same_run_and_another_another(tmp_path, items, whole):
    tiny_run(tmp_path / 'again', items)
    assert_same_run(tmp_path / 'again', whole)
    tiny_run(tmp_path / 'other', items, seed=1)
    assert rows(tmp_path / 'other')[1] != rows(whole)[1]


def test_learning_rate_falls_once_after_two_epochs():
    assert [learning_rate(1.0, epoch) for epoch in range(5)] == [1.0, 1.0, 0.1, 0.1, 0.1]
    assert [learning_rate(1.0, epoch, full_rate_epochs=1) for epoch in range(3)] == [1.0, 0.1, 0.1]


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_the_optimiser_goes_on_from_its_state(name):
    def steps(optimizer, model, count):
        for _ in range(count):
            optimizer.step((model(jt.ones((1, 1, 4, 4))) - 3).sqr().sum())
        return model.weight.numpy()

    set_seed(0)
    model = nn.Conv2d(1, 2, 3)
    optimizer = new_optimizer(name, model.parameters(), lr=0.1, weight_decay=0.5)
    steps(optimizer, model, 3)
    state, weights = optimizer.state(), weights_of(model)
    expected = steps(optimizer, model, 3)
    model.load_state_dict(weights)
    resumed = new_optimizer(name, model.parameters(), lr=0.1, weight_decay=0.5)
    resumed.load_state(state)
    assert np.array_equal(steps(resumed, model, 3), expected)
    for other in OPTIMIZERS:
        if other != name:
            with pytest.raises(UserError, match='of another network, optimiser or version'):
                new_optimizer(other, model.parameters(), lr=0.1, weight_decay=0.5).load_state(state)


@pytest.mark.parametrize('name, expected', [
    # After one step down the gradient 2: Adam's and AdamW's first step is lr whatever the gradient; AdamW
    # first takes 1 − lr·decay off.
    ('adam', 1 - 0.1), ('adamw', 1 - 0.1 * 0.5 - 0.1), ('sgd', 1 - 0.1 * (2 + 0.5))])
def test_each_takes_its_step_at_the_rate_that_it_has_now(name, expected):
    weight, untrained = jt.array(np.float32([1])), jt.array(np.float32([1])).stop_grad()
    optimizer = new_optimizer(name, [weight, untrained], lr=7.0, weight_decay=0.5)
    optimizer.lr = 0.1
    optimizer.step((2 * weight * untrained).sum())
    assert weight.item() == pytest.approx(expected, abs=1e-5) and untrained.item() == 1


def test_a_group_of_parameters_has_its_own_decay():
    def train(groups):
        weights = [jt.array(np.float32([[1, -2], [3, 4]])) for _ in range(2)]
        optimizer = Adam(groups(weights), lr=0.1, weight_decay=0.5)
        for _ in range(3):
            optimizer.step(sum((weight - 3).sqr().sum() for weight in weights))
        return [weight.numpy() for weight in weights]

    alike = train(list)
    without = train(lambda weights: [{'params': weights, 'weight_decay': 0}])
    apart = train(lambda weights: [{'params': weights[:1]}, {'params': weights[1:], 'weight_decay': 0}])
    assert np.array_equal(apart[0], alike[0]) and np.array_equal(apart[1], without[1])
    assert not np.array_equal(alike[1], without[1])

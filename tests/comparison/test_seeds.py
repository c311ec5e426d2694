"""The part seeds of the comparison, as far as neither PyTorch nor the original is needed."""
import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from comparison import equivalence, inputs, seeds, sides, training
from comparison.__main__ import Args, check_resume, check_seeds
from comparison.margins import MARGINS, margins_of, read_margins, write_margins
from comparison.sides import Setup
from tools.base.errors import UserError
from tools.data.images import read_gray, write_image
from tools.data.pairing import pair_folders
from tools.evaluation.noise import read_noise
from tools.evaluation.scoring import select_metrics
from tools.training.run_folder import save_settings
from tools.weights.checkpoint import load_weights

# Margins

def test_margins_are_half_the_gap_between_two_methods():
    summary = pd.DataFrame({'method': ['ours', 'LRRNet', 'CrossFuse'], 'EN mean': [1, 6, 7], 'EN std': [1, 2, 3],
                            'MSE mean': [1, 0.5, 0.1], 'MSE images': [21, 21, 21]})
    assert margins_of(summary) == pytest.approx({'EN': 0.5, 'MSE': 0.2})


def test_committed_margins_are_those_of_the_committed_scores(tmp_path):
    write_margins(path=tmp_path / 'margins.csv')
    committed = read_margins()
    assert len(committed) == 18 and committed == pytest.approx(read_margins(tmp_path / 'margins.csv'), rel=1e-6)


def test_runs_without_margins_are_refused(tmp_path):
    with pytest.raises(UserError, match='fixed before the runs'):
        read_margins(tmp_path / 'margins.csv')


# Tests of equivalence

def scores_of(values, test='tno', shares='signed', metric='EN'):
    return pd.DataFrame([{'test': test, 'shares': shares, 'side': side, 'seed': seed, 'metric': metric, 'value': value}
                         for side, of_side in values.items() for seed, value in enumerate(of_side)])


def test_two_one_sided_tests_are_those_of_the_confidence_interval():
    """The p-value is below 5 % where the 90 % interval of the difference lies within the margin."""
    random = np.random.RandomState(1)
    values, reference = 5 + random.randn(5), 5.1 + 0.5 * random.randn(5)
    interval = stats.ttest_ind(values, reference, equal_var=False).confidence_interval(0.9)
    reach = max(-interval.low, interval.high)
    assert equivalence.tost(values, reference, reach) == pytest.approx(0.05)
    assert equivalence.tost(values, reference, 1.01 * reach) < 0.05 < equivalence.tost(values, reference, 0.99 * reach)
    assert np.isnan(equivalence.tost(values, reference, np.nan))


@pytest.mark.parametrize('difference, noise, margin, expected', [
    (0.0, 0.01, 0.1, equivalence.SAME), (1.0, 0.01, 0.1, equivalence.DIFFERENT), (0.05, 0.001, 0.1, equivalence.BOTH),
    (0.05, 0.1, 0.1, equivalence.OPEN), (0.0, 0.01, None, equivalence.OPEN), (1.0, 0.01, None, equivalence.DIFFERENT)])
def test_verdicts(difference, noise, margin, expected):
    of_pytorch = 7 + noise * np.array([-1.1, -0.5, 0, 0.4, 1.2])
    scores = scores_of({'pytorch': of_pytorch, 'jittor': of_pytorch[::-1] + difference + noise * np.array([0.1, 0, 0, 0, -0.1])})
    row, = equivalence.compare_sides(scores, 'pytorch', {} if margin is None else {'EN': margin})
    assert equivalence.verdict(row) == expected
    assert row.difference == pytest.approx(difference, abs=1e-9) and row.pytorch_sd == pytest.approx(of_pytorch.std(ddof=1))


def test_p_values_are_corrected_for_the_measures_of_a_side():
    random = np.random.RandomState(2)
    scores = pd.concat([scores_of({side: random.randn(5) for side in ('pytorch', 'jittor', 'wrong')}, metric=metric) for metric in 'abc'])
    rows = equivalence.compare_sides(scores, 'pytorch', {})
    for side in ('jittor', 'wrong'):
        of_side = [row for row in rows if row.side == side]
        assert len(of_side) == 3
        assert min(row.p_holm for row in of_side) == pytest.approx(min(1, 3 * min(row.p_different for row in of_side)))


def test_two_runs_are_hardly_ever_further_apart_than_the_spread():
    random = np.random.RandomState(3)
    apart = []
    for _ in range(400):
        scores = scores_of({'pytorch': random.randn(5), 'jittor': 9 + random.randn(5)})
        apart.append(abs(random.randn() - random.randn()) > equivalence.spreads(scores)['signed']['EN'])
    assert 0.02 < np.mean(apart) < 0.09


def test_the_spread_is_that_of_the_test_set_with_more():
    values = {'pytorch': [1.0, 2.0, 4.0], 'jittor': [2.0, 3.0, 3.0]}
    narrow, wide = scores_of(values, test='a'), scores_of({side: 10 * np.array(one) for side, one in values.items()}, test='b')
    both = equivalence.spreads(pd.concat([narrow, wide, scores_of(values, shares='bounded')]))
    assert both['signed'] == equivalence.spreads(wide)['signed'] and both['bounded'] == equivalence.spreads(narrow)['signed']


# Runs

@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A Setup whose sides are all tests/fake_side.py, which read what they begin with as text."""
    def write_start(setup, plan, seed):
        seeds.folder_of(setup).mkdir(parents=True, exist_ok=True)
        given = {network: tmp_path / f'{network}_{seed}' for network in inputs.NETWORKS}
        for network, path in given.items():
            path.write_text(f'{network} {seed}')
        return given

    monkeypatch.setattr(sides, 'MODULES', dict.fromkeys(sides.MODULES, 'tests.fake_side'))
    monkeypatch.setattr(seeds, 'write_start', write_start)
    monkeypatch.setattr(seeds, 'write_batches', lambda path, *_: inputs.BatchFile(path.with_name('of a seed'), 2, []))
    monkeypatch.setattr(seeds, 'SAVE_EVERY', 3)
    return Setup(tmp_path / 'original', tmp_path / 'work', cuda=False, threads=2)


@pytest.fixture
def plan(tmp_path):
    for modality in inputs.MODALITIES:
        (tmp_path / seeds.SHIPPED.format(modality=modality)).touch()
    return seeds.Plan(7, seeds=2, wrong_seeds=2, steps=20, batch=2, stage=training.STAGES['stage_2'], deep_start=0.0, encoders=tmp_path)


@pytest.fixture
def pairings(tmp_path):
    random = np.random.RandomState(0)
    for modality in ('ir', 'vi'):
        for name in ('a.png', 'b.png'):
            write_image(tmp_path / 'images' / modality / name, random.randint(0, 200, (40, 50)).astype(np.uint8))
    return {'tno': pair_folders(tmp_path / 'images' / 'ir', tmp_path / 'images' / 'vi')}


def asked(fake):
    return (seeds.folder_of(fake) / 'asked').read_text().splitlines()


def test_seeds_are_trained_fused_and_compared(fake, plan, pairings, tmp_path):
    out = tmp_path / 'out'
    seeds.compare_seeds(fake, plan, {'EN': 0.1}, [], pairings, ['EN', 'SD'], out, 'A note.')
    assert len(asked(fake)) == (2 * 2 + 2 * 2) * plan.steps, 'two seeds of both sides, and of either wrong port'
    begun = 'ir 8 + vi 8 + fusion 8'
    assert [line for line in asked(fake) if line.startswith(f'{begun} None')][:plan.steps] == [
        f'{begun} None {step} {0 if step < 10 else 2}' for step in range(plan.steps)], 'half of the steps at the full rate'

    rows = pd.read_csv(out / 'seeds.csv')
    assert len(rows) == 3 * (3 + 2 * 2), 'three sides beside PyTorch; three losses, and two metrics with either shares'
    losses = rows[rows['test'] == 'training'].set_index(['side', 'metric'])
    assert (losses.loc['jittor', 'difference'] == 0).all()
    assert losses.loc[('own_adam', 'pixel loss'), 'difference'] == pytest.approx(50, abs=7)
    text = (out / 'README.md').read_text(encoding='utf-8')
    assert '| training |  | total loss |' in text and '| tno | bounded | EN |' in text and 'A note.' in text
    assert 'wrong: absolute shares' in text and (out / 'seeds.png').stat().st_size > 1000
    assert len(pd.read_csv(out / 'seeds_scores.csv')) == 8 * 7
    kept = pd.read_csv(out / 'seeds_losses.csv')
    assert len(kept) == 8 * 2 and set(kept['step']) == {10, 20} and 'seconds' not in kept
    assert list(read_noise(out / 'noise_signed.csv')) == ['EN', 'SD']
    assert not list(seeds.folder_of(fake).rglob('state.bin'))

    more = plan._replace(seeds=3)
    seeds.compare_seeds(fake, more, {'EN': 0.1}, [], pairings, ['EN'], out, '')
    assert len(asked(fake)) == (2 * 2 + 2 * 2 + 2) * plan.steps, 'only the added seed is trained'


def test_an_interrupted_run_goes_on_where_it_was_saved(fake, plan):
    given, stop, run = seeds.write_start(fake, plan, 7), seeds.folder_of(fake) / 'stop at 8', seeds.runs_of(fake, plan)[0]
    stop.touch()
    with pytest.raises(UserError, match='the last words'):
        seeds.train(fake, plan, run, given, seeds.folder_of(fake) / 'of a seed')
    assert len(pd.read_csv(run.losses)) == 6 and not run.weights.exists(), 'saved after 3 and 6 steps'
    stop.unlink()
    with open(run.losses, 'a') as file:  # as if it had been stopped between losses and state
        file.write('7,1,0,0,0,0\r\n')
    before = len(asked(fake))
    seeds.train(fake, plan, run, given, seeds.folder_of(fake) / 'of a seed')
    assert asked(fake)[before].endswith('None 6 0'), 'it goes on with the seventh step'
    losses = pd.read_csv(run.losses)
    assert list(losses['step']) == list(range(1, 21)) and losses['pix_loss'].diff().dropna().eq(-1).all() and run.weights.exists()


def test_runs_are_compared_on_the_images_that_all_have(fake, plan, pairings):
    runs = seeds.runs_of(fake, plan)[:2]
    fused = {('tno', 'signed'): {run: run.folder / 'fused' for run in runs}}
    for number, run in enumerate(runs):
        for pair in pairings['tno'].pairs[number:]:
            write_image(run.folder / 'fused' / pair.name, read_gray(pair.ir))
    scores, problems = seeds.score(fused, pairings, select_metrics('default', ['SD']))
    assert scores['value'].tolist() == pytest.approx([read_gray(pairings['tno'].pairs[1].ir).std()] * 2) and len(problems) == 1
    (runs[1].folder / 'fused' / 'b.png').unlink()
    with pytest.raises(UserError, match='no image of tno that was fused with the weights of all runs'):
        seeds.score(fused, pairings, select_metrics('default', ['SD']))


def test_trainings_are_neither_mixed_nor_lost(tmp_path):
    settings = Args(original='a', work=str(tmp_path), parts=['seeds'], margins=str(MARGINS))
    assert check_seeds(settings) == read_margins()
    save_settings(settings, seeds.folder_of(settings))
    with pytest.raises(UserError, match='--resume goes on with them'):
        check_seeds(settings)
    again = dataclasses.replace(settings, resume=True, seeds=7)
    assert check_seeds(again)
    check_resume(again)
    with pytest.raises(UserError, match='other values of steps'):
        check_resume(dataclasses.replace(again, steps=7))
    with pytest.raises(UserError, match='no trained auto-encoder'):
        seeds.trained_encoders(seeds.Plan(1, 1, 1, 1, 1, None, 0.0, tmp_path))


def test_hours_are_spent_only_if_asked_for():
    assert 'seeds' not in Args().parts and 'training' in Args().parts


# The Jittor side

def test_jittor_sides_go_on_and_wrong_ports_compute_something_else(tmp_path):
    from comparison.jittor_side import JittorSide
    from comparison.wrong_ports import with_mistake
    small = np.random.RandomState(1).randint(0, 256, (2, 2, 1, 1, 32, 32)).astype(np.uint8)
    batches = str(tmp_path / 'batches.npy')
    np.save(batches, np.kron(small, np.ones((8, 8), np.uint8)))
    weights = {network: str(tmp_path / f'{network}.safetensors') for network in inputs.NETWORKS}
    state, losses, shares = str(tmp_path / 'state.bin'), {}, {}
    make = {'right': JittorSide, **{mistake: partial(with_mistake, mistake) for mistake in sides.WRONG}}
    for name, side_class in make.items():
        side = side_class(cuda=False, threads=2, ssim_val_range=None)
        if name == 'right':
            side.write_initial_weights(**weights, seed=1, deep_start=1.0)
        start = partial(side.start_fusion, **weights, lr=1e-3, weight_decay=0.9)
        start()
        losses[name] = [side.step(batches, 0, epoch=0)['total_loss']]
        side.save_state(state, step=1)
        losses[name] += [side.step(batches, index, epoch=0)['total_loss'] for index in (1, 0)]
        start()
        assert side.load_state(state) == 1
        assert [side.step(batches, index, epoch=0)['total_loss'] for index in (1, 0)] == pytest.approx(losses[name][1:], rel=1e-5), name
        shares[name] = side.model.options['deep_shares']
    assert losses['own_adam'][0] == pytest.approx(losses['right'][0], rel=1e-5), 'the first loss is before the optimiser\'s first step'
    # Which may agree on few images
    assert shares == {'right': 'signed', 'own_adam': 'signed', 'absolute_shares': 'bounded'}


def test_jittors_adam_is_the_wrong_one():
    """At a gradient as small as eps, the first step of PyTorch's is half the learning rate."""
    from comparison.jittor_side import JittorSide
    from comparison.wrong_ports import OwnAdam
    from tools.runtime import nn
    moved = []
    for side_class in (JittorSide, OwnAdam):
        model = nn.Linear(1, 1, bias=False)
        model.weight.assign(np.zeros((1, 1), np.float32))
        side_class.adam(None, model, lr=1.0, weight_decay=0.0).step(1e-8 * model.weight.sum())
        moved.append(-model.weight.item())
    eps = 1e-8
    assert moved == pytest.approx([0.5, 1e-9 * 0.001 ** 0.5 / 0.1 / ((0.001 * eps ** 2) ** 0.5 + eps)], rel=1e-3)


def test_what_the_sides_begin_with(tmp_path):
    """The trained encoders, completed by a decoder, and a network whose deep path starts at 0."""
    setup = Setup(tmp_path / 'original', tmp_path / 'work', cuda=False, threads=1)
    plan = seeds.Plan(7, 1, 1, 1, 1, training.STAGES['stage_2'], 0.0, sides.REPOSITORY / 'results/models')
    given = seeds.write_start(setup, plan, seed=7)
    for modality, trained in seeds.trained_encoders(plan).items():
        trained, found = load_weights(trained).arrays, load_weights(given[modality]).arrays
        assert set(trained) < set(found) and all(np.array_equal(found[name], trained[name]) for name in trained)
    assert not load_weights(given['fusion']).arrays['decoder_fusion.conv_block.4.conv2d.1.weight'].any()

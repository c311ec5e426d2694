"""Compare this repository with the PyTorch original: forward pass, training, results, speed and memory.

    git clone https://github.com/hli1221/CrossFuse ../CrossFuse
    pip install -r requirements-compare.txt
    python -m comparison --original ../CrossFuse

Both frameworks run in processes of their own, from the same initial weights, on the same images in the same order. A
second run of PyTorch (or several: --floors), which differs in rounding only, shows how far equal programs drift apart.
Where they drift far, single runs say little: --jittors trains several of Jittor too, so that means can be compared.
The part seeds, which takes hours and is done only when asked for, trains stage 2 from several seeds on both sides.
"""
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from comparison import curves, forward, results, scaling, seeds, speed, start, training
from comparison.inputs import weights_folder, write_batches, write_pairs
from comparison.margins import read_margins
from comparison.report import PARTS, conditions
from comparison.sides import FLOORS, JITTOR, JITTORS, SIDES, Setup, check_original, open_sides, sides_with
from comparison.training import ENCODERS, STAGES
from tools.base.errors import UserError
from tools.base.script import run_script
from tools.base.settings import describe, parse_settings, setting
from tools.data.kaist import list_pairs
from tools.data.layouts import source_folders
from tools.data.pairing import pair_folders
from tools.runtime.processes import cores
from tools.training.run_folder import changed_settings, save_settings, saved_settings

SEEDS = 'seeds'  # the part that takes hours
SMALL = {'steps': 4, 'batch_2': 1, 'repeats': 2, 'seeds': 2}  # a trial of everything, in minutes
SMALL_TEST_PAIRS = 2
FORWARD_PAIRS = 3  # test pairs that the forward part fuses


@dataclass
class Args:
    original: Optional[str] = setting(None, 'a checkout of github.com/hli1221/CrossFuse', is_path=True)
    parts: List[str] = setting([part for part in PARTS if part != SEEDS], 'which parts to do', choices=PARTS, may_change=True)
    data: List[str] = setting(['./database'], 'folders with training images in KAIST\'s layout', is_path=True)
    train_num: int = setting(20000, 'number of pairs to train on, spread over all sequences; fewer if there are not as '
                                    'many', minimum=1)
    test: str = setting('./images/21_pairs_tno', 'a folder with the test images, in ir/ and vi/ (or vis/)', may_change=True)
    more_tests: List[str] = setting([], 'of the part seeds: further such folders', may_change=True)
    steps: int = setting(300, 'training steps of each network', minimum=1)
    batch_1: int = setting(2, 'images per step of stage 1', minimum=1)
    batch_2: int = setting(8, 'pairs per step of stage 2', minimum=1)
    lr_2: float = setting(STAGES['stage_2'].lr, 'learning rate of the first two epochs of stage 2; a tenth of '
                          'it afterwards', above=0)
    weight_decay_2: float = setting(STAGES['stage_2'].weight_decay, 'L2 weight decay of stage 2', minimum=0)
    deep_start: float = setting(1.0, 'scale of the fusion network\'s deep path before training, the same on all sides: 1 as '
                                     'the original, or 0', choices=(1.0, 0.0))
    encoders: str = setting('shared', 'the encoders of stage 2: PyTorch\'s on all sides, so that its losses show that '
                            'stage alone, or each side\'s own', choices=tuple(ENCODERS))
    floors: int = setting(1, 'how many further runs of PyTorch, which round otherwise, are trained beside: the '
                             'more, the better is their spread known', choices=tuple(range(1, len(FLOORS) + 1)), may_change=True)
    jittors: int = setting(1, 'how many runs of Jittor are trained; the further ones begin with weights that differ '
                              'in the last bit', choices=tuple(range(1, len(JITTORS) + 1)), may_change=True)
    resume: bool = setting(False, 'training goes on after the networks that an interrupted run has finished; more '
                                  'floors and runs of Jittor can be added', may_change=True)
    seeds: int = setting(5, 'of the part seeds: how many trainings of each side, from `seed` on', minimum=2, may_change=True)
    wrong_seeds: int = setting(2, 'of the part seeds: how many of each deliberately wrong port', minimum=2, may_change=True)
    trained_encoders: str = setting('./results/models', 'of the part seeds: the folder with the auto-encoders, the same on all sides',
                                    is_path=True)
    margins: str = setting('./results/comparison_seeds/margins.csv', 'of the part seeds: up to which difference a metric is the same',
                           may_change=True)
    # Inferred, the range is 1 for dark images of 0…127, and the original's SSIM divides by differences that are mere
    # rounding there: at the start of training its gradient can be thousands of times the one that float64 gives.
    ssim_val_range: Optional[float] = setting(255.0, 'value range in SSIM, on all sides; none: inferred, as the original '
                                              'calls it', above=0)
    metrics: List[str] = setting(['all'], 'metrics of the results, by their names', may_change=True)
    repeats: int = setting(10, 'rounds that are timed', minimum=1, may_change=True)
    small: bool = setting(False, 'a short trial: ' + ', '.join(f'{name} {value}' for name, value in SMALL.items()) +
                          f', {SMALL_TEST_PAIRS} test pairs', may_change=True)
    seed: int = setting(2024, 'of the initial weights and of the order of the images', minimum=0)
    cuda: bool = setting(False, 'compute on the GPU, both sides')
    threads: int = setting(0, 'threads of each side while it works alone; in training, where all work at once, it has '
                           'half of them; 0: one for each core', minimum=0)
    out: str = setting('./results/comparison', 'the folder for tables and figures', is_path=True)
    work: str = setting('./output/comparison', 'the folder for what passes between the processes, and for fused images', may_change=True)


def main():
    settings = parse_settings(Args, __doc__)
    if settings.small:
        settings = dataclasses.replace(settings, **SMALL)
    check_original(settings.original)
    if settings.resume:
        check_resume(settings)
    margins = check_seeds(settings) if SEEDS in settings.parts else {}
    print(describe(settings))
    setup = Setup(Path(settings.original).resolve(), Path(settings.work).resolve(), settings.cuda,
                  settings.threads or cores(), settings.ssim_val_range)
    out = Path(settings.out)
    items, batches = write_training_data(settings, setup)
    pairing, pairs = write_test_data(settings, setup)

    print('starting PyTorch and Jittor, which compiles for some minutes the first time')
    initial = weights_folder(setup, 'initial')
    with open_sides(SIDES, setup) as sides:
        note = conditions(sides, setup.original)
        sides[JITTOR].ask('write_initial_weights', seed=settings.seed, deep_start=settings.deep_start, **initial)
    print(note)

    if 'forward' in settings.parts:
        forward.compare(setup, initial, batches, pairs[:FORWARD_PAIRS], out, note)
    if 'training' in settings.parts:
        train(settings, setup, initial, batches, out)
    if 'results' in settings.parts:
        names = sides_with(settings.floors, settings.jittors)
        results.compare(setup, names, pairing, pairs, settings.metrics, out, note)
    if 'speed' in settings.parts:
        sizes = speed.FUSED_SIZES[:1] if settings.small else speed.FUSED_SIZES
        work = speed.Work(initial, batches, items, pairs[0], sizes, [(pair.ir, pair.vi) for pair in pairing.pairs])
        speed.compare(setup, work, settings.repeats, out, note)
    if 'start' in settings.parts:
        start.compare(setup, out, note, **start.SMALL if settings.small else {})
    if 'scaling' in settings.parts:
        scaling.compare(setup, initial, items, pairs[0], settings.seed, out, note, **scaling.SMALL if settings.small else {})
    if SEEDS in settings.parts:
        train_seeds(settings, setup, margins, items, out, note)
    print(f'tables and figures: {out / "README.md"}')


def check_resume(settings):
    """UserError unless the training before, of each part that trains, was the one that these settings would start."""
    for part, folder in (('training', settings.work), (SEEDS, seeds.folder_of(settings))):
        changed = changed_settings(settings, saved_settings(Args, folder)) if part in settings.parts else []
        if changed:
            raise UserError(f'--resume: the training in {folder} had other values of {", ".join(changed)}')


def check_seeds(settings):
    """The margins of the part seeds. UserError if there are none, or if it would mix with trainings before."""
    folder = seeds.folder_of(settings)
    if folder.exists() and not settings.resume:
        raise UserError(f'{folder} holds trainings: --resume goes on with them; if they are not wanted, remove the folder')
    return read_margins(settings.margins)


def train_seeds(settings, setup, margins, items, out, note):
    """The part seeds."""
    plan = seeds.Plan(settings.seed, settings.seeds, settings.wrong_seeds, settings.steps, settings.batch_2,
                      stages_of(settings)['stage_2'], settings.deep_start, Path(settings.trained_encoders))
    pairings = {Path(folder).name: read_pairing(settings, folder) for folder in (settings.test, *settings.more_tests)}
    if not settings.resume:
        save_settings(settings, seeds.folder_of(setup))
    note = (f'Batches of {plan.batch}; {plan.steps} steps, half of them at the learning rate {plan.stage.lr:g}, the others at a tenth; '
            f'weight decay {plan.stage.weight_decay:g}; deep path started at {plan.deep_start:g}. {note}')
    seeds.compare(setup, plan, margins, items, pairings, settings.metrics, out, note)


def train(settings, setup, initial, batches, out):
    """The part training."""
    folder = out / 'training'
    if not settings.resume:
        training.remove_earlier(setup, folder)
        save_settings(settings, setup.work)
    setup = setup._replace(threads=max(1, setup.threads // 2))  # the floor has one, whatever the others have
    with open_sides(sides_with(settings.floors, settings.jittors), setup) as sides:
        note = (f'Batches of {settings.batch_1} (stage 1) and {settings.batch_2} (stage 2); learning rate of stage 2 '
                f'{settings.lr_2:g}, weight decay {settings.weight_decay_2:g}; its deep path started at {settings.deep_start:g}; '
                f'{training.ENCODERS[settings.encoders]}; '
                f'value range in SSIM: {settings.ssim_val_range or "inferred"}. {conditions(sides, setup.original)}')
        try:
            training.train(setup, sides, stages_of(settings), initial, batches, settings.encoders, folder)
        finally:  # also what was done before Ctrl-C
            curves.write_curves(out, folder, note)


def stages_of(settings):
    """The stages as the settings train them."""
    stage_2 = training.STAGES['stage_2']._replace(lr=settings.lr_2, weight_decay=settings.weight_decay_2)
    return {**training.STAGES, 'stage_2': stage_2}


def write_training_data(settings, setup):
    """(the training pairs, the batches of both stages as {network: BatchFile})."""
    steps = settings.steps if 'training' in settings.parts else 1
    listing = list_pairs(settings.data, settings.train_num, 'spread')
    print(listing.report)
    stage_1, stage_2 = (write_batches(setup.work / f'batches_{number}.npy', listing.items, batch, steps, settings.seed)
                        for number, batch in ((1, settings.batch_1), (2, settings.batch_2)))
    return listing.items, {'ir': stage_1, 'vi': stage_1, 'fusion': stage_2}


def write_test_data(settings, setup):
    """The test images: (pairing, list of PairFile)."""
    pairing = read_pairing(settings, settings.test)
    pairs, left_out = write_pairs(setup.work / 'pairs', pairing.pairs)
    for text in left_out:
        print(f'left out: {text}')
    if not pairs:
        raise UserError(f'no pair in {settings.test} can be used')
    return pairing, pairs


def read_pairing(settings, test):
    """The pairs of a folder with test images."""
    folders = source_folders(test)
    if folders is None:
        raise UserError(f'setting test: {test} has no folders ir/ and vi/')
    pairing = pair_folders(*folders)
    print(pairing.describe())
    return pairing._replace(pairs=pairing.pairs[:SMALL_TEST_PAIRS]) if settings.small else pairing


if __name__ == '__main__':
    run_script(main)

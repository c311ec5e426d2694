"""Compare this repository with the PyTorch original: forward pass, training, results, speed and memory.

    git clone https://github.com/hli1221/CrossFuse ../CrossFuse
    pip install -r requirements-compare.txt
    python compare_with_pytorch.py --original ../CrossFuse

Both frameworks run in processes of their own, from the same initial weights, on the same images in the same order. A
second run of PyTorch (or several: --floors), which differs in rounding only, shows how far equal programs drift apart.
Where they drift far, single runs say little: --jittors trains several of Jittor too, so that means can be compared.
"""
import dataclasses
from pathlib import Path

from args_compare import SMALL, SMALL_TEST_PAIRS, Args
from comparison import curves, forward, results, scaling, speed, start, training
from comparison.inputs import weights_folder, write_batches, write_pairs
from comparison.report import conditions
from comparison.sides import JITTOR, SIDES, Setup, check_original, open_sides, sides_with
from tools.data.kaist import list_pairs
from tools.data.layouts import source_folders
from tools.data.pairing import pair_folders
from tools.errors import UserError, run_script
from tools.processes import cores
from tools.settings import describe, parse_settings
from tools.training.run_folder import changed_settings, save_settings, saved_settings

FORWARD_PAIRS = 3  # test pairs that the forward part fuses


def main():
    settings = parse_settings(Args, __doc__)
    if settings.small:
        settings = dataclasses.replace(settings, **SMALL)
    check_original(settings.original)
    if settings.resume:
        check_resume(settings)
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
        work = speed.Work(initial, batches, items, pairs[0], sizes, [(pair.ir, pair.vis) for pair in pairing.pairs])
        speed.compare(setup, work, settings.repeats, out, note)
    if 'start' in settings.parts:
        start.compare(setup, out, note, **start.SMALL if settings.small else {})
    if 'scaling' in settings.parts:
        scaling.compare(setup, initial, items, pairs[0], settings.seed, out, note, **scaling.SMALL if settings.small else {})
    print(f'tables and figures: {out / "README.md"}')


def check_resume(settings):
    """UserError unless the training before was the one that these settings would start."""
    changed = changed_settings(settings, saved_settings(Args, settings.work))
    if changed:
        raise UserError(f'--resume: the training in {settings.work} had other values of {", ".join(changed)}')


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
    folders = source_folders(settings.test)
    if folders is None:
        raise UserError(f'setting test: {settings.test} has no folders ir/ and vi/')
    pairing = pair_folders(*folders)
    print(pairing.describe())
    if settings.small:
        pairing = pairing._replace(pairs=pairing.pairs[:SMALL_TEST_PAIRS])
    pairs, left_out = write_pairs(setup.work / 'pairs', pairing.pairs)
    for text in left_out:
        print(f'left out: {text}')
    if not pairs:
        raise UserError(f'no pair in {settings.test} can be used')
    return pairing, pairs


if __name__ == '__main__':
    run_script(main)

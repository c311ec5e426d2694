"""Stage 2: train the fusion network on pairs, both encoders frozen.

    python train_conv_trans.py --path ./database
    python train_conv_trans.py --resume_model_auto_ir FILE --resume_model_auto_vi FILE
    python train_conv_trans.py --resume_model_trans FILE_OR_RUN
    python train_conv_trans.py --resume

Settings: args_trans.py. What a run writes: tools/training/run.py.
"""
from dataclasses import replace

from args_trans import DEEP_STRIDE, SIZE_STEP, Args
from network.variants import VARIANTS
from tools.base.errors import UserError
from tools.base.script import run_script
from tools.base.settings import describe, given_names, part_of
from tools.training.run_folder import new_run_folder, read_settings
from tools.weights.names import FUSION


def main():
    settings, resumed = read_settings(Args, __doc__, runs='save_fusion_model')

    # Here, since Jittor takes seconds to load, and minutes the first time: what is wrong with
    # the settings is said at once.
    from network.loss import fusion_losses
    from network.operators import use_mixed_precision
    from tools.data.feature_cache import Features, open_caches
    from tools.runtime import jt, set_seed, use_device
    from tools.runtime.processes import by_first
    from tools.training.optimizer import new_optimizer
    from tools.training.run import TrainingRun, learning_rate
    from tools.weights.encoders import find_encoders, load_encoders, save_encoders
    from tools.weights.fusion import fusion_file

    encoder_files = find_encoders(settings.resume_model_auto_ir, settings.resume_model_auto_vi,
                                  settings.save_auto_model, run_folder=resumed)
    given = None if resumed or not settings.resume_model_trans else fusion_file(settings.resume_model_trans)
    print(describe(settings))
    print('encoders:', *encoder_files)

    device = use_device(settings.cuda)
    use_mixed_precision(settings.mixed_precision, device)
    set_seed(settings.seed)
    encoders = load_encoders(encoder_files)
    settings, model = start_network(settings, given)
    reading, items, batches = read_pairs(settings)
    features = Features(encoders, open_caches(settings.cache_features, encoders, items, batches.size, reading))
    loss_weights = {**part_of(settings, 'losses'), **VARIANTS[settings.variant].loss_weights}
    optimizer = new_optimizer(settings.optimizer, model.parameters(), settings.lr, settings.weight_decay)
    metadata = {'kind': 'fusion', 'variant': settings.variant, 'options': model.options,
                'encoders': {'ir': encoders[0].fingerprint, 'vi': encoders[1].fingerprint}}
    folder = resumed or by_first(new_run_folder, settings.save_fusion_model, 'fuse')

    with TrainingRun(folder, model, optimizer, batches, settings, FUSION, metadata) as run:
        by_first(save_encoders, encoders, folder)
        for epoch in range(run.epoch, settings.epochs):
            optimizer.lr = learning_rate(settings.lr, epoch, settings.full_rate_epochs)
            for batch in run.batches_of(epoch):
                ir, vi = (jt.array(images) for images in batch.arrays)  # (batch, 1, size, size), 0…255
                out = model(*features(ir, vi, batch.paths), shift_flag=False)['out']
                losses = fusion_losses(out, ir, vi, **loss_weights)
                optimizer.step(losses['total_loss'])
                run.after_step(losses, batch)
            run.after_epoch(samples=(ir, vi, out))
        run.finish()


def read_pairs(settings):
    """What is trained on: found, looked at, and made ready to be loaded."""
    from tqdm import tqdm

    from tools.data.displacement import align_items
    from tools.data.doubts import value_doubts
    from tools.data.kaist import list_pairs
    from tools.data.loader import Batches
    from tools.data.reading import reading_of
    reading = reading_of(settings)
    listing = list_pairs(settings.path, settings.train_num, settings.train_num_from, settings.ir, settings.vi, reading)
    print(listing.report)
    for doubt in value_doubts(*zip(*listing.items), reading):
        print(doubt)
    reading, items = align_items(listing.items, settings.align, reading)
    size = settings.size, settings.size
    batches = Batches(items, settings.batch, size, settings.seed, settings.workers, settings.cache, settings.augment,
                      report=tqdm.write, reading=reading)
    return reading, items, batches


def start_network(settings, given):
    """(the settings with what given weights say of their network, that network); without weights, a new one."""
    from tools.weights.checkpoint import load_weights
    from tools.weights.networks import build_fusion, restore
    network = {'variant': settings.variant, 'img_size': settings.size // DEEP_STRIDE, **part_of(settings, 'network')}
    if not given:
        return settings, build_fusion(**network)
    # The file says which network it is of, but for what is on the command line.
    names = {'img_size' if name == 'size' else name for name in given_names(Args)}
    asked = {name: value for name, value in network.items() if name in names}
    model = restore(load_weights(given, 'fusion'), given, 'fusion', training=True, **asked)
    built = {'variant': model.variant, **model.options}
    network = {name: built.get(name, value) for name, value in network.items()}
    print(f'network of {given}:', network)
    size = DEEP_STRIDE * network.pop('img_size')
    if size % SIZE_STEP:
        raise UserError(f'{given} was trained on images of {size}×{size} pixels, which is no multiple of {SIZE_STEP}: '
                        'give --size')
    return replace(settings, size=size, **network), model  # settings from which a resumed run builds the same


if __name__ == '__main__':
    run_script(main, shared=True)

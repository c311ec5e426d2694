"""Stage 1: train the auto-encoder of one modality.

    python train_autoencoder.py --type_flag ir --path ./database
    python train_autoencoder.py --type_flag vi --path ./database
    python train_autoencoder.py --type_flag ir --resume_model_auto FILE_OR_RUN
    python train_autoencoder.py --resume

Settings: args_auto.py. What a run writes: tools/training/run.py.
"""
from args_auto import Args
from tools.base.script import run_script
from tools.base.settings import describe, part_of
from tools.training.run_folder import new_run_folder, read_settings
from tools.weights.names import AUTO_ENCODER


def main():
    settings, resumed = read_settings(Args, __doc__, runs='save_auto_model')

    # Here, since Jittor takes seconds to load, and minutes the first time: what is wrong with
    # the settings is said at once.
    from network.loss import autoencoder_losses
    from network.operators import use_mixed_precision
    from tools.runtime import jt, set_seed, use_device
    from tools.runtime.processes import by_first
    from tools.training.optimizer import new_optimizer
    from tools.training.run import TrainingRun, learning_rate
    from tools.weights.encoders import find_encoder, load_encoder
    from tools.weights.networks import build_auto_encoder

    print(describe(settings))

    batches = read_images(settings)
    device = use_device(settings.cuda)
    use_mixed_precision(settings.mixed_precision, device)
    set_seed(settings.seed)
    if settings.resume_model_auto and not resumed:
        file = find_encoder(settings.resume_model_auto, settings.type_flag, settings.save_auto_model)
        model = load_encoder(file, settings.type_flag, training=not settings.new_decoder).model
    else:
        model = build_auto_encoder()
    optimizer = new_optimizer(settings.optimizer, model.parameters(), settings.lr, settings.weight_decay)
    metadata = {'kind': 'auto_encoder', 'modality': settings.type_flag, 'options': model.options}
    weights_file = AUTO_ENCODER.replace('{modality}', settings.type_flag)
    folder = resumed or by_first(new_run_folder, settings.save_auto_model, settings.type_flag)

    with TrainingRun(folder, model, optimizer, batches, settings, weights_file, metadata) as run:
        for epoch in range(run.epoch, settings.epochs):
            optimizer.lr = learning_rate(settings.lr, epoch, settings.full_rate_epochs)
            for batch in run.batches_of(epoch):
                images = jt.array(batch.arrays[0])  # (batch, 1, height, width), 0…255
                out = model.reconstruct(images)['recons1']
                losses = autoencoder_losses(out, images, **part_of(settings, 'losses'))
                optimizer.step(losses['total_loss'])
                run.after_step(losses, batch)
            run.after_epoch(samples=(images, out))
        run.finish()


def read_images(settings):
    """What is trained on: found, looked at, and made ready to be loaded."""
    from tqdm import tqdm

    from tools.data.doubts import value_doubts
    from tools.data.kaist import list_images_of
    from tools.data.loader import Batches
    from tools.data.reading import AS_THEY_ARE, reading_of
    reading, infrared = reading_of(settings), settings.type_flag == 'ir'
    listing = list_images_of(settings.path, settings.type_flag, settings.train_num, settings.train_num_from,
                             settings.ir, settings.vi, reading)
    print(listing.report)
    files = [path for path, in listing.items]
    for doubt in value_doubts(*((files, []) if infrared else ([], files)), reading):
        print(doubt)
    batches = Batches(listing.items, settings.batch, (settings.Height, settings.Width), settings.seed, settings.workers,
                      settings.cache, settings.augment, report=tqdm.write, reading=reading if infrared else AS_THEY_ARE)
    return batches


if __name__ == '__main__':
    run_script(main, shared=True)

"""Stage 2: train the fusion network on pairs, both encoders frozen.

    python train_conv_trans.py --path ./database
    python train_conv_trans.py --resume_model_auto_ir FILE --resume_model_auto_vi FILE
    python train_conv_trans.py --resume

Settings: args_trans.py. What a run writes: tools/training_run.py.
"""
from tqdm import tqdm

from args_trans import Args
from network.loss import Gradient_loss, Order_loss
from network.precision import use_mixed_precision
from tools.encoders import find_encoders, load_encoders, save_encoders
from tools.errors import run_script
from tools.feature_cache import FeatureCache
from tools.kaist import list_pairs
from tools.loader import Batches
from tools.models import build_fusion
from tools.optimizer import Adam
from tools.run_folder import new_run_folder, read_settings
from tools.runtime import jt, set_seed, use_device
from tools.settings import describe
from tools.training_run import TrainingRun, learning_rate

LOSSES = ('pix_loss', 'gra_loss', 'total_loss')


def main():
    settings, resumed = read_settings(Args, __doc__, runs='save_fusion_model')
    folder = resumed or new_run_folder(settings.save_fusion_model, 'fuse')
    encoder_files = find_encoders(settings.resume_model_auto_ir, settings.resume_model_auto_vi,
                                  settings.save_auto_model, run_folder=resumed)
    print(describe(settings))
    print('encoders:', *encoder_files)

    listing = list_pairs(settings.path, settings.train_num, settings.train_num_from)
    print(listing.report)
    batches = Batches(listing.items, settings.batch, (settings.Height, settings.Width), settings.seed, settings.workers,
                      settings.cache, settings.augment, report=tqdm.write)

    device = use_device(settings.cuda)
    use_mixed_precision(settings.mixed_precision, device)
    set_seed(settings.seed)
    encoders = load_encoders(encoder_files)
    encoder_ir, encoder_vi = (encoder.model for encoder in encoders)
    caches = cache_features(settings, encoders, listing.items)
    model = build_fusion(settings.variant, gradient_loss_weight=settings.gradient_loss_weight, deep_start=settings.deep_start,
                         deep_shares=settings.deep_shares)
    optimizer = Adam(model.parameters(), settings.lr, settings.weight_decay)
    gradient_loss, order_loss = Gradient_loss(), Order_loss()
    metadata = {'kind': 'fusion', 'variant': settings.variant, 'deep_shares': settings.deep_shares,
                'encoders': {'ir': encoders[0].fingerprint, 'vi': encoders[1].fingerprint}}
    weights_file = 'fusetrans_epoch_{epoch}.safetensors'

    with TrainingRun(folder, model, optimizer, batches, LOSSES, settings, weights_file, metadata) as run:
        save_encoders(encoders, folder)
        for epoch in range(run.epoch, settings.epochs):
            optimizer.lr = learning_rate(settings.lr, epoch, settings.full_rate_epochs)
            for batch in run.batches_of(epoch):
                ir, vi = (jt.array(images) for images in batch.arrays)  # (batch, 1, 256, 256), 0…255
                with jt.no_grad():
                    if caches:
                        ir_sh, vi_sh = encoder_ir.shallow(ir), encoder_vi.shallow(vi)
                        ir_de, vi_de = (cache.deep(*one) for cache, *one in zip(caches, (ir, vi), zip(*batch.paths)))
                    else:
                        (ir_sh, ir_de), (vi_sh, vi_de) = encoder_ir(ir), encoder_vi(vi)
                    # Still to be computed, they would be fused with what comes next and be rounded otherwise than kept ones.
                    jt.sync([ir_sh, ir_de, vi_sh, vi_de])
                outputs = model.train_module(ir, vi, ir_sh, vi_sh, ir_de, vi_de, False, gradient_loss, order_loss)
                optimizer.step(outputs['total_loss'])
                run.after_step(outputs, batch)
            run.after_epoch(samples=(ir, vi, outputs['out']))
        run.finish()


def cache_features(settings, encoders, items):
    """A FeatureCache for each of the encoders, or None if none is asked for."""
    if settings.cache_features is None:
        return None
    size = settings.Height, settings.Width
    caches = [FeatureCache(settings.cache_features, encoder, paths, size) for encoder, paths in zip(encoders, zip(*items))]
    for cache in caches:
        print(cache.describe())
    return caches


if __name__ == '__main__':
    run_script(main)

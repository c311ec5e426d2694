"""Make of a training run the three files that come with the repository: small, and all that fusing needs.

    python -m tools.weights.ship models/transfuse/fuse_20261122_101500 results/models --deep_shares bounded

Weights are stored as float16, vectors as float32, what fusing does not read is left out, and SHA256SUMS is written
beside the files (`sha256sum --check SHA256SUMS`). To see what float16 changes, fuse with both and compare:
`python evaluate_fusion_results.py --fused DIR --check-against DIR`.
"""
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

import numpy as np

from network.variants import DEEP_SHARES
from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.weights.checkpoint import fingerprint, load_weights, save_weights

CHECKSUMS = 'SHA256SUMS'
LEVELLED_ON = 32  # pairs; what is the same in all images shows in each


@dataclass
class Args:
    run: str = setting('', 'run folder of train_conv_trans.py; its last epoch is taken', positional=True)
    out: str = setting('', 'the folder to write to', positional=True)
    deep_shares: Optional[str] = setting(None, 'how deep features are weighed when fusing; none: as in training',
                                         choices=DEEP_SHARES)
    level: List[str] = setting([], 'folders with training pairs, on some of which the faint grid that the attention '
                                   'adds to every image alike is measured, and taken from the weights; none: it stays')


def main(argv=None):
    settings = parse_settings(Args, __doc__, argv)
    ship(settings.run, Path(settings.out), settings.deep_shares, settings.level)


def ship(run, out: Path, deep_shares=None, level=()):
    """Write the weights of a run folder to the folder `out`, where `deep_shares`
    (None: the training's) are noted for fusing.

    level: folders with training pairs; if any, what CAM adds to every image alike is measured on some of them and taken
    off. Raises UserError if weights or pairs cannot be read, or weights not be written.
    """
    from tools.weights.fusion import find_files, load_fusion_model  # here, since they load Jittor
    from tools.weights.levelling import patch_pattern
    files = find_files(run, auto_ir=None, auto_vi=None, epoch=None, runs=None)
    pattern = patch_pattern(load_fusion_model(run).networks, training_pairs(level)) if level else {}
    encoders = {modality: _write_small(path, out, 'auto_encoder')
                for modality, path in (('ir', files.ir), ('vi', files.vi))}
    trained_with = {modality: fingerprint(load_weights(path).arrays) for modality, path in encoders.items()}
    noted = {'deep_shares': deep_shares} if deep_shares else {}
    fusion = _write_small(files.fusion, out, 'fusion', noted, pattern, encoders=trained_with)
    written = [*encoders.values(), fusion]
    write_text(out / CHECKSUMS, ''.join(f'{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n'
                                        for path in written))
    for path in written:
        print(f'{path}: {path.stat().st_size / 2 ** 20:.1f} MiB')


def training_pairs(folders):
    """Pairs of images, float32 256×256, spread over those that training would find in some folders."""
    from tools.data.kaist import list_pairs
    from tools.data.loader import Batches
    items = list_pairs(folders, LEVELLED_ON, 'spread').items
    for batch in Batches(items, 1).epoch(0):
        yield tuple(images[0, 0] for images in batch.arrays)


def _write_small(path, out, kind, options=None, pattern=None, **metadata):
    """Write the weights in `path` to the folder `out`, under their name, without what their network can do without.

    options: of the network, in place of those in the file. pattern: what is taken from weights,
    as by tools.weights.levelling.
    metadata: in addition to what the file holds.
    """
    from network.layers import dispensable
    from tools.weights.networks import restore
    weights = load_weights(path)
    network = restore(weights, path, kind, **(options or {}))
    left_out = dispensable(network)
    for name, taken in (pattern or {}).items():
        weights.arrays[name] -= taken
    # Vectors, which hardly take room, stay float32: the variances of batch norms may be beyond float16.
    smaller = lambda array: array.astype(np.float16 if array.ndim > 1 else np.float32)
    with np.errstate(over='ignore'):  # it is looked for below
        arrays = {name: smaller(array) for name, array in weights.arrays.items() if name not in left_out}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise UserError(f'{path} cannot be stored as float16: {bad[0]} has values beyond its range, or that are not '
                        'numbers')
    save_weights(out / path.name, arrays, {**weights.metadata, **metadata, 'options': network.options,
                                           'only_for_fusing': True})
    return out / path.name


if __name__ == '__main__':
    run_script(main)

"""Make of a training run the three files that come with the repository: small, and all that fusing needs.

    python ship_weights.py models/transfuse/fuse_20261122_101500 results/models --deep_shares bounded

Values are stored as float16, those that fusing does not read are left out, and SHA256SUMS is written beside the files
(`sha256sum --check SHA256SUMS`). To see what float16 changes, fuse with both and compare:
`python evaluate_fusion_results.py --fused DIR --check-against DIR`.
"""
import argparse
import hashlib
from pathlib import Path

import numpy as np

from network.net_autoencoder import Auto_Encoder_single
from network.net_conv_trans import DEEP_SHARES, Trans_FuseNet
from tools.checkpoint import fingerprint, load_weights, save_weights
from tools.errors import UserError, run_script
from tools.files import whole_file
from tools.fusion_models import find_files

CHECKSUMS = 'SHA256SUMS'


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('run', metavar='RUN', help='run folder of train_conv_trans.py; its last epoch is taken')
    parser.add_argument('out', metavar='OUT', type=Path, help='the folder to write to')
    parser.add_argument('--deep_shares', choices=DEEP_SHARES, help='how deep features are weighed when fusing; by default as in training')
    arguments = parser.parse_args(argv)
    ship(arguments.run, arguments.out, arguments.deep_shares)


def ship(run, out: Path, deep_shares=None):
    """Write the weights of a run folder to the folder `out`, where `deep_shares` (None: the training's) are noted for fusing.

    Raises UserError if they cannot be read or written.
    """
    files = find_files(run, auto_ir=None, auto_vi=None, epoch=None, runs=None)
    encoders = {modality: _write_small(path, out, Auto_Encoder_single)
                for modality, path in (('ir', files.ir), ('vi', files.vi))}
    trained_with = {modality: fingerprint(load_weights(path).arrays) for modality, path in encoders.items()}
    noted = {'deep_shares': deep_shares} if deep_shares else {}
    fusion = _write_small(files.fusion, out, Trans_FuseNet, encoders=trained_with, **noted)
    written = [*encoders.values(), fusion]
    with whole_file(out / CHECKSUMS) as temporary:
        temporary.write_text(''.join(f'{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n' for path in written))
    for path in written:
        print(f'{path}: {path.stat().st_size / 2 ** 20:.1f} MiB')


def _write_small(path, out, network, **metadata):
    """Write the weights in `path` to the folder `out`, under their name, without what `network` can do without."""
    weights = load_weights(path)
    with np.errstate(over='ignore'):  # it is looked for below
        arrays = {name: array.astype(np.float16) for name, array in weights.arrays.items() if not network.dispensable.match(name)}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise UserError(f'{path} cannot be stored as float16: {bad[0]} has values beyond its range, or that are not numbers')
    save_weights(out / path.name, arrays, {**weights.metadata, **metadata, 'only_for_fusing': True})
    return out / path.name


if __name__ == '__main__':
    run_script(main)

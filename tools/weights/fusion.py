"""A fusion network with its encoders: finding the files, loading them, noticing what does not belong together."""
import re
from pathlib import Path
from typing import Dict, NamedTuple, Optional

from network.strips import Networks
from tools.base.errors import UserError
from tools.weights.checkpoint import Weights, load_weights
from tools.weights.encoders import Encoder, load_encoder
from tools.weights.names import ENCODER, FUSION, numbered
from tools.weights.networks import restore, saved_options

RUNS = 'models/transfuse'  # where training puts its runs
SHIPPED = Path(__file__).resolve().parents[2] / 'results' / 'models'  # the weights that come with the repository
EPOCH = re.compile(r'epoch_(\d+)')  # in the name of a file, also of the original's
HOW_TO_GET_WEIGHTS = (
    'Get some: `make demo-train` trains small ones; train_autoencoder.py (ir and vi) and train_conv_trans.py '
    "train your own; or give the PyTorch original's files: --model FUSION.model --auto_ir IR.model --auto_vi VI.model")


class Files(NamedTuple):
    """The three weights files that fusing needs."""
    fusion: Path
    ir: Path
    vi: Path


class FusionModel(NamedTuple):
    """Loaded networks in eval mode, for images of any size, and what is known about them."""
    networks: Networks
    files: Files
    variant: str   # one of network.variants.VARIANTS
    epoch: str     # a number, or 'unknown'
    run: str       # the run that trained it, else the name of its file
    checked: bool  # whether the fusion weights say which encoders they belong to (they are these, then)
    as_stored: bool  # whether the deep features are weighed as the weights file says
    says_shares: bool  # whether it or the caller says how

    @property
    def deep_shares(self):
        """How the deep features are weighed, one of network.variants.DEEP_SHARES; None if the
        network does not let one choose."""
        return self.networks.fusion.options.get('deep_shares')

    @property
    def name(self):
        """For folders: VARIANT_epochK_RUN, and the deep shares if they are not those of the weights file."""
        shares = '' if self.as_stored else f'_{self.deep_shares}'
        # They may come from a stranger
        return re.sub(r'[^\w.-]+', '-', f'{self.variant}_epoch{self.epoch}_{self.run}') + shares

    def describe(self):
        text = f'fusion network: {self.variant}, epoch {self.epoch} of {self.run} ({self.files.fusion})'
        if self.deep_shares:
            text += f', deep shares {self.deep_shares}'
        if not self.says_shares:
            text += (', the original\'s, since its file does not say; if it was converted from a network with other '
                     'ones, '
                     'give --deep_shares')
        if not self.checked:
            text += ('\nits file does not say which encoders it was trained with; make sure that they are '
                     f'{self.files.ir} and {self.files.vi}')
        return text


def load_fusion_model(model=None, auto_ir=None, auto_vi=None, epoch=None, runs=RUNS, deep_shares=None) -> FusionModel:
    """Find, load and check a fusion network and its encoders.

    model: a run folder of train_conv_trans.py, or a fusion network's weights file, ours or the PyTorch original's;
    None: the newest run in the folder `runs`, else the weights that come with the repository.
    auto_ir, auto_vi: the encoders' files; None: those beside the fusion network. epoch: of a run; None: the last.
    deep_shares: how the deep features are weighed, one of network.variants.DEEP_SHARES; None: as the weights file says.
    Raises UserError if something is missing, damaged, of the wrong kind, or does not belong together.
    """
    files = find_files(model, auto_ir, auto_vi, epoch, runs)
    weights = load_weights(files.fusion, 'fusion')
    encoders = {modality: load_encoder(path, modality, train_flag=False)
                for path, modality in ((files.ir, 'ir'), (files.vi, 'vi'))}
    _check_encoders(weights, files, encoders)
    fusion = restore(weights, files.fusion, 'fusion', train_flag=False,
                     **({'deep_shares': deep_shares} if deep_shares else {}))
    stored_shares = saved_options(weights, 'fusion', fusion.variant).get('deep_shares')
    networks = Networks(encoders['ir'].model, encoders['vi'].model, fusion)
    for network in networks:
        network.eval()
    epoch_in_name = EPOCH.search(files.fusion.stem)
    return FusionModel(
        networks, files, fusion.variant,
        epoch=str(weights.metadata.get('epoch', epoch_in_name.group(1) if epoch_in_name else 'unknown')),
        run=str(weights.metadata.get('run', files.fusion.stem)), checked='encoders' in weights.metadata,
        as_stored=deep_shares in (None, stored_shares), says_shares=weights.is_ours or deep_shares is not None)


def find_files(model, auto_ir, auto_vi, epoch, runs) -> Files:
    """The weights files that these settings mean, as for `load_fusion_model`. All exist."""
    if model is None:
        if auto_ir or auto_vi:
            raise UserError('auto_ir and auto_vi are given without model: give the fusion network that they belong to')
        model = _default_model(runs)
    fusion = fusion_file(model, epoch)
    encoders = {}
    for modality, given in (('ir', auto_ir), ('vi', auto_vi)):
        path = Path(given) if given else fusion.parent / ENCODER.format(modality=modality)
        if not path.is_file():
            raise UserError(f'auto_{modality} {path} does not exist' if given else
                            f'{path}, the encoder of {modality} beside the fusion network, does not exist: '
                            f'give its file as auto_{modality}')
        encoders[modality] = path
    return Files(fusion, encoders['ir'], encoders['vi'])


def fusion_file(model, epoch=None) -> Path:
    """The weights file that `model`, a file or a run folder, means: of a folder that of an epoch, None for
    the last. UserError if none."""
    model = Path(model)
    if model.is_dir():
        return _epoch_file(model, epoch)
    if not model.is_file():
        raise UserError(f'model {model} does not exist: give a run folder or a weights file')
    if epoch is not None:
        raise UserError(f'epoch is for run folders, and {model} is a file')
    return model


def _default_model(runs) -> Path:
    """The run folder with the newest weights, else the weights that come with the repository."""
    epochs = [path for folder in Path(runs).glob('*/') for path in numbered(folder, FUSION).values()]
    if epochs:
        return max(epochs, key=lambda path: path.stat().st_mtime).parent
    if numbered(SHIPPED, FUSION):
        return SHIPPED
    raise UserError(f'no trained weights found in {runs}, and none come with the repository. {HOW_TO_GET_WEIGHTS}')


def _epoch_file(folder, epoch: Optional[int]) -> Path:
    files = numbered(folder, FUSION)
    if not files:
        raise UserError(f'{folder} holds no weights of a fusion network ({FUSION.format(epoch=1)}, …). '
                        f'{HOW_TO_GET_WEIGHTS}')
    if epoch is None:
        epoch = max(files)
    if epoch not in files:
        raise UserError(f'{folder} holds no weights of epoch {epoch}, only of {", ".join(map(str, sorted(files)))}')
    return files[epoch]


def _check_encoders(weights: Weights, files: Files, encoders: Dict[str, Encoder]):
    """Notice encoders that the fusion network was not trained with."""
    trained_with = weights.metadata.get('encoders')
    if trained_with is None:
        if encoders['ir'].fingerprint == encoders['vi'].fingerprint:
            raise UserError(f'{files.ir} and {files.vi} hold the same weights: each modality has an encoder of its own')
        return
    for modality, encoder in encoders.items():
        if not isinstance(trained_with, dict) or trained_with.get(modality) != encoder.fingerprint:
            raise UserError(f'{files.fusion} was trained with another encoder of {modality} than {encoder.path}: '
                            'use the ones that its run folder holds')

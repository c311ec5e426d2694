"""Run folders of the fusion network with the reference's weights, and test images, for the tests of fusing."""
import cv2
import numpy as np
from reference_data import filled

from network.net_autoencoder import Auto_Encoder_single
from network.net_conv_trans import Trans_FuseNet, Trans_FuseNet_CNN
from tools.weights.checkpoint import fingerprint, save_weights
from tools.weights.networks import weights_of

RUN = 'fuse_20261122_101500'  # how a run of stage 2 is named


def encoder_weights(tag):
    return weights_of(filled(tag, Auto_Encoder_single()))


def fusion_weights(variant='standard'):
    return weights_of(filled('fuse', Trans_FuseNet_CNN() if variant == 'cnn' else Trans_FuseNet()))


def write_run(folder, variant='standard', epochs=(3,), spoil=None):
    """A run folder as train_conv_trans.py leaves it. spoil: a weight of the infrared encoder to set to NaN."""
    encoders = {'ir': encoder_weights('ae_deep'), 'vi': encoder_weights('ae2_deep')}
    if spoil:
        encoders['ir'][spoil] = np.full_like(encoders['ir'][spoil], np.nan)
    for modality, arrays in encoders.items():
        save_weights(folder / f'auto_encoder_{modality}.safetensors', arrays,
                     {'kind': 'auto_encoder', 'modality': modality, 'epoch': 4, 'run': 'run', 'settings': {}})
    arrays = fusion_weights(variant)
    for epoch in epochs:
        save_weights(folder / f'fusetrans_epoch_{epoch}.safetensors', arrays, {
            'kind': 'fusion', 'variant': variant, 'epoch': epoch, 'run': folder.name, 'settings': {},
            'encoders': {modality: fingerprint(arrays) for modality, arrays in encoders.items()}})
    return folder


def pair_of(height, width, seed=0):
    """Two smooth, noisy images, gray uint8."""
    random = np.random.RandomState(seed)
    images = []
    for _ in range(2):
        coarse = random.uniform(0, 255, (height // 12 + 2, width // 12 + 2)).astype(np.float32)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        images.append((image + random.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8))
    return images

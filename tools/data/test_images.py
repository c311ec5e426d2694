"""Test images of the field, known by hash: whoever trains on one should not report on its set.

test_images.tsv holds a line for each pair: its set, its name, and for infrared and visible the beginning of the file's SHA-256 and a
perceptual hash. Of the images themselves, nothing. Where they were taken from: docs/data.md.
"""
import csv
from pathlib import Path

import cv2
import numpy as np

from tools.data.images import read_gray

TABLE = Path(__file__).with_name('test_images.tsv')
MODALITIES = 'infrared', 'visible'
SHA_DIGITS = 16  # of the 64, in the table

SMALL, LOW = 32, 8  # pixels of the small image; frequencies of it that the perceptual hash looks at, in each direction
# Bits that may differ. Resizing, another format and JPEG's loss change 0 to 4; the nearest training pair of the shipped list is further
# away than either. Of one modality alone, dark or flat images of other scenes come near, so it has to be nearer.
ALIKE_PAIR, ALIKE_SINGLE = 8, 2
TEST_FOLDER = 'test'  # of data sets that come in parts, as LLVIP/infrared/test


def perceptual_hash(image):
    """64 bits of a gray image H×W, as 16 hexadecimal digits: which of the lowest 8×8 frequencies of its 32×32 DCT lie above their median.

    Nearly the same for the same picture in another size or format; not for a part of it, or one that is turned or mirrored.
    """
    small = cv2.resize(image, (SMALL, SMALL), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:LOW, :LOW].ravel()
    return np.packbits(low > np.median(low)).tobytes().hex()


def perceptual_hash_of(path):
    """`perceptual_hash` of an image file. UserError if it cannot be read."""
    return perceptual_hash(read_gray(path))


def distances(some, others):
    """In how many bits hashes differ: lists of N and M hashes → N×M integers; 64 to and from an empty text, which stands for no hash."""
    signs = [np.array([_signs(text) for text in texts], np.float32).reshape(len(texts), LOW * LOW) for texts in (some, others)]
    differing = ((LOW * LOW - signs[0] @ signs[1].T) / 2).astype(int)
    differing[[not text for text in some]] = LOW * LOW
    differing[:, [not text for text in others]] = LOW * LOW
    return differing


def known_test_images():
    """The table as a list of dicts, by the names of its columns."""
    with open(TABLE, encoding='utf-8', newline='') as file:
        return list(csv.DictReader(file, delimiter='\t'))


def find_test_images(entries):
    """Which of some training images are test images -> a list with a set of names of test sets for each.

    entries: dicts with `sha256 infrared`, `hash infrared` and the same of visible, empty for a modality that is not there. An image is
    known by its file, or by what it looks like: both of a pair within ALIKE_PAIR bits of the same test pair, or a single one within
    ALIKE_SINGLE. Parts of test images, and turned or mirrored ones, are not known.
    """
    known = known_test_images()
    files = {one[f'sha256 {modality}']: one['set'] for one in known for modality in MODALITIES}
    found = [{files[sha] for sha in (entry[f'sha256 {modality}'][:SHA_DIGITS] for modality in MODALITIES) if sha in files}
             for entry in entries]
    far = {modality: distances([entry[f'hash {modality}'] for entry in entries], [one[f'hash {modality}'] for one in known])
           for modality in MODALITIES}
    pairs = np.array([all(entry[f'hash {modality}'] for modality in MODALITIES) for entry in entries])
    alike = np.where(pairs[:, np.newaxis], np.maximum(*far.values()) <= ALIKE_PAIR, np.minimum(*far.values()) <= ALIKE_SINGLE)
    for entry, one in zip(*np.nonzero(alike)):
        found[entry].add(known[one]['set'])
    return found


def warnings_of(entries):
    """What speaks against training on some images, a line each. entries: of a list, as from tools.data.training_list.entry_of."""
    in_test = sum(any(TEST_FOLDER in Path(entry[modality]).parts[:-1] for modality in MODALITIES) for entry in entries)
    of_folders = (f'warning: {in_test} of these {_kind(entries)} lie in folders named {TEST_FOLDER}: give the folders to train on '
                  'alone, or do not report their set with these weights') if in_test else ''
    return [line for line in (warning_of(entries), of_folders) if line]


def warning_of(entries):
    """One line that says which test sets some training images are of; '' if of none. entries: as for `find_test_images`."""
    found = find_test_images(entries)
    counts = {name: sum(name in sets for sets in found) for name in sorted(set().union(*found))}
    if not counts:
        return ''
    which = ', '.join(f'{count} {"of these " + _kind(entries) + " are " if not place else ""}{name}\'s test images'
                      for place, (name, count) in enumerate(counts.items()))
    return f'warning: {which}: do not report {", ".join(counts)} with these weights'


def _kind(entries):
    return 'pairs' if all(entries[0][f'sha256 {modality}'] for modality in MODALITIES) else 'images'


def _signs(text):
    """64 hashed bits as ±1."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text or '0' * (LOW * LOW // 4)), np.uint8)).astype(np.float32) * 2 - 1

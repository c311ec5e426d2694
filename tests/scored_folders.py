"""Folders of sources and of fused images, and the tables made of them, for the tests of evaluation."""
import csv
import json
import os

import cv2
import numpy as np

from tools.data.images import read_gray

SET = '21_pairs_tno'


def picture(seed, height=48, width=56, channels=None, dtype=np.uint8):
    shape = (height, width, channels) if channels else (height, width)
    image = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, shape), (0, 0), 2)
    image = 255 * (image - image.min()) / np.ptp(image)
    return np.rint(image * (257 if dtype == np.uint16 else 1)).astype(dtype)


OUT = ['--out', 'out', '--workers', '1']
SOURCES = ['--ir', f'images/{SET}/ir', '--vis', f'images/{SET}/vis', *OUT]


def table(name='out/summary.csv'):
    """A CSV file as a list of dicts."""
    with open(name, encoding='utf-8-sig', newline='') as file:
        return list(csv.DictReader(file))


def triple(i, method='a/results_transfuse_IR{}.png'):
    paths = method.format(i), f'images/{SET}/ir/IR{i}.png', f'images/{SET}/vis/VIS{i}.png'
    return tuple(map(read_gray, paths))


def output_folder(data, name, age, method='a', sources=None):
    folder = data / 'output/crossfuse_test' / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    (data / method).rename(folder)
    if sources:
        (folder / 'sources.json').write_text(json.dumps(sources), encoding='utf-8')
    os.utime(folder, (1e9 - age, 1e9 - age))

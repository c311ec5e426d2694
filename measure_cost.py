"""What fusing costs: parameters, multiply–adds, and the time for an image of each size on this machine.

Writes a table as Markdown and CSV. Tables in papers often leave the encoders out; here each network has a row.
"""
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import List

import numpy as np
import pandas as pd

from comparison.report import processor
from network.precision import Conv2d, Linear
from network.strips import Networks, fuse_in_strips
from network.transformer_cam import Attention
from tools.errors import UserError, run_script
from tools.files import write_text
from tools.models import build_auto_encoder, build_fusion
from tools.runtime import jt, use_device
from tools.settings import parse_settings, setting
from tools.tables import markdown_table, write_csv

MILLION, BILLION = 10 ** 6, 10 ** 9


@dataclass
class Settings:
    sizes: List[str] = setting(['256x256', '640x480', '1024x768'], 'width x height of the images')
    repeats: int = setting(5, 'how often each is fused; the median counts', minimum=1)
    cuda: bool = setting(True, 'compute on the GPU if there is one')
    out: str = setting('./results/cost', 'the folder for the table')


def main():
    settings = parse_settings(Settings, __doc__)
    sizes = [read_size(text) for text in settings.sizes]
    device = use_device(settings.cuda)
    networks = Networks(build_auto_encoder(train_flag=False), build_auto_encoder(train_flag=False), build_fusion(train_flag=False))
    encoders = trained_parameters(networks.ir.fea_encoder1) + trained_parameters(networks.vi.fea_encoder1)  # no decoder takes part
    fusion = trained_parameters(networks.fusion)
    for network in networks:
        network.eval()
    costs = pd.DataFrame({'parameters': [encoders, fusion]}, ['encoders, both', 'fusion network'])
    for text, size in zip(settings.sizes, sizes):
        costs[f'multiply–adds {text}'] = multiply_adds(networks, *size)
    costs.loc['all'] = costs.sum()
    seconds = ['seconds per image', '', *(f'{median_seconds(networks, size, settings.repeats):.3f}' for size in sizes)]

    head = ['network', *costs]
    shown = [[name, f'{count / MILLION:.2f} M', *(f'{cost / BILLION:.1f} G' for cost in of_sizes)]
             for name, count, *of_sizes in costs.itertuples()]
    machine = 'GPU' if device == 'cuda' else f'CPU: {processor()}, {os.cpu_count()} cores'
    note = ('Parameters: those that training adjusts; the fixed filters of the fusion network are not counted. '
            f'Multiply–adds of convolutions, linear layers and attention. Time: median of {settings.repeats}, {machine}, '
            f'Jittor {jt.__version__}, without reading and writing files.\n')
    text = '# What fusing costs\n\n' + markdown_table(head, [*shown, seconds]) + '\n' + note
    write_csv(Path(settings.out, 'cost.csv'), pd.DataFrame([*costs.itertuples(), seconds], columns=head))
    write_text(Path(settings.out, 'README.md'), text)
    print(text)


def read_size(text):
    """'640x480' → (height, width). UserError for anything else."""
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise UserError(f'setting sizes: {text!r} is not WIDTHxHEIGHT, such as 640x480')
    width, height = map(int, parts)
    return height, width


def trained_parameters(module):
    """How many numbers training adjusts in a module that is in train mode."""
    return sum(value.numel() for value in module.parameters() if value.requires_grad)


def multiply_adds(networks, height, width):
    """Of both encoders, and of the fusion network, for one pair of images."""
    counts = []

    def count(module, arguments, output):
        if isinstance(module, Conv2d):
            counts[-1] += output.numel() * int(np.prod(module.weight.shape[1:]))
        elif isinstance(module, Linear):
            counts[-1] += output.numel() * module.weight.shape[1]
        else:
            n, tokens, dim = output.shape
            counts[-1] += 2 * n * tokens * tokens * dim  # similarities, and the sum of the values

    counted = [layer for network in networks for layer in network.modules() if isinstance(layer, (Conv2d, Linear, Attention))]
    for layer in counted:
        layer.register_forward_hook(count)
    image = jt.array(np.random.RandomState(0).uniform(0, 255, (1, 1, height, width)).astype(np.float32))
    with jt.no_grad():
        counts.append(0)
        (ir_sh, ir_de), (vi_sh, vi_de) = networks.ir(image), networks.vi(image)
        counts.append(0)
        networks.fusion(ir_de, ir_sh, vi_de, vi_sh)
    for layer in counted:
        layer.remove_forward_hook()
    return counts


def median_seconds(networks, size, repeats):
    """Of fusing one image, after a first one, for which Jittor may compile."""
    ir, vi = np.random.RandomState(0).uniform(0, 255, (2, *size)).astype(np.float32)
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        fuse_in_strips(networks, ir, vi)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[1:]))


if __name__ == '__main__':
    run_script(main)

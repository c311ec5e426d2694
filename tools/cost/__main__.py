"""What fusing costs: parameters, multiply–adds, and the time for an image of each size on this machine.

Writes a table as Markdown and CSV. Tables in papers often leave the encoders out; here each network has a row.
"""
import os
from dataclasses import dataclass
from pathlib import Path
from typing import List

import pandas as pd

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.machine import processor
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.base.tables import markdown_table, write_csv

MILLION, BILLION = 10 ** 6, 10 ** 9


@dataclass
class Args:
    sizes: List[str] = setting(['256x256', '640x480', '1024x768'], 'width x height of the images')
    repeats: int = setting(5, 'fuse each this often; the median counts', minimum=1)
    cuda: bool = setting(True, 'compute on the GPU if there is one')
    out: str = setting('./results/cost', 'the folder for the table')


def main():
    settings = parse_settings(Args, __doc__)
    sizes = [read_size(text) for text in settings.sizes]

    # Here, since Jittor takes seconds to load, and minutes the first time: what is wrong with
    # the settings is said at once.
    from network.strips import Networks
    from tools.cost.counting import median_seconds, multiply_adds, trained_parameters
    from tools.runtime import jt, use_device
    from tools.weights.networks import build_auto_encoder, build_fusion

    device = use_device(settings.cuda)
    networks = Networks(build_auto_encoder(train_flag=False), build_auto_encoder(train_flag=False),
                        build_fusion(train_flag=False))
    # No decoder takes part
    encoders = trained_parameters(networks.ir.fea_encoder1) + trained_parameters(networks.vi.fea_encoder1)
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
            f'Multiply–adds of convolutions, linear layers and attention. Time: median of {settings.repeats}, '
            f'{machine}, '
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


if __name__ == '__main__':
    run_script(main)

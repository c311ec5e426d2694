"""Our metrics beside the toolboxes of the field, on the same real images: `tests/reference/metrics.json` has their values."""
import json
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tools.errors import UserError
from tools.evaluation.protocols import ALL_PROTOCOLS, metrics_of
from tools.files import write_text
from tools.images import read_gray
from tools.tables import markdown_table, write_csv

SHOWN_TRIPLE = 'CF1'  # whose values the page shows; the CSV file has all
TANG, TANG_HARD, TANG_FMI, TANG_PORT = 'tang_matlab_octave', 'tang_matlab_octave_hard', 'tang_fmi', 'metric_python'
CDDFUSE, VIFB, HLI, PLUGIN = 'cddfuse_evaluator', 'vifb_octave', 'hli_matlab_octave', 'exact_plugin'
# Code of one origin does not confirm itself.
ORIGIN = {TANG: 'tang', TANG_HARD: 'tang', TANG_FMI: 'tang', TANG_PORT: 'tang',
          CDDFUSE: 'cddfuse', VIFB: 'vifb', HLI: 'hli', PLUGIN: 'plug-in'}

PAGE = '''# The metrics beside the toolboxes they were checked against

Made by `python calibrate_metrics.py` from `tests/reference/metrics.json`: the toolboxes were run on {triples} real triples of gray images.
Shown are the values of the triple {shown}, and the largest relative difference over all of them; [every value](calibration.csv).
A metric without a protocol behind its name is ours; `--protocol all` shows which toolboxes share it. Code of one origin, such as
Tang's toolbox and its Python port, counts as one source.

{table}
## The toolboxes, and how they were run

{implementations}'''


class Source(NamedTuple):
    """A value that an implementation gives."""
    implementation: str
    name: str
    divisor: int = 1         # 2 where it sums what ours averages; 255² where its gray levels are 0…255, ours 0…1
    tolerance: float = 1e-4  # relative deviation within which ours is to be
    caveat: str = ''         # what its value is not


SHIM = 'MATLAB\'s `ssim` rewritten for Octave'
CROP = 'a port, checked against Octave on 40×40 pixels'
CHECKED = {
    'EN': [Source(TANG, 'EN'), Source(CDDFUSE, 'EN'), Source(VIFB, 'Entropy'), Source(HLI, 'EN'), Source(TANG_PORT, 'EN')],
    'SD': [Source(TANG, 'SD'), Source(CDDFUSE, 'SD'), Source(VIFB, 'Variance'), Source(TANG_PORT, 'SD')],
    'SD (hli)': [Source(HLI, 'SD')],
    'MI': [Source(PLUGIN, 'MI_sum_bits'), Source(TANG_PORT, 'MI')],
    'MI (hli)': [Source(HLI, 'MI')],
    'MI (tang)': [Source(TANG, 'MI')],
    'MI (cddfuse, vifb)': [Source(CDDFUSE, 'MI'), Source(VIFB, 'Mutinf'), Source(PLUGIN, 'MI_sum_nats')],
    'SF': [Source(TANG, 'SF'), Source(CDDFUSE, 'SF'), Source(TANG_PORT, 'SF')],
    'SF (vifb)': [Source(VIFB, 'Spatial_frequency')],
    'AG': [Source(TANG, 'AG'), Source(VIFB, 'Avg_gradient'), Source(TANG_PORT, 'AG')],
    'AG (cddfuse)': [Source(CDDFUSE, 'AG')],
    'CC': [Source(TANG, 'CC'), Source(CDDFUSE, 'CC'), Source(TANG_PORT, 'CC')],
    'SCD': [Source(TANG, 'SCD'), Source(CDDFUSE, 'SCD'), Source(TANG_PORT, 'SCD')],
    'VIF': [Source(TANG, 'VIF'), Source(CDDFUSE, 'VIFF'), Source(TANG_PORT, 'VIF')],
    'Qabf': [Source(TANG, 'Qabf'), Source(CDDFUSE, 'Qabf'), Source(VIFB, 'Qabf'), Source(TANG_PORT, 'Qabf')],
    'Nabf': [Source(TANG_HARD, 'Nabf_correct_order', tolerance=1e-3, caveat='called with its arguments in the right order'),
             Source(TANG_PORT, 'Nabf', tolerance=1e-3)],
    'Nabf (tang)': [Source(TANG_HARD, 'Nabf_as_called', tolerance=1e-3)],
    'MSE': [Source(TANG, 'MSE'), Source(CDDFUSE, 'MSE', 255 ** 2), Source(TANG_PORT, 'MSE')],
    'MSE (cddfuse)': [Source(CDDFUSE, 'MSE')],
    'PSNR': [],
    'PSNR (tang)': [Source(TANG, 'PSNR'), Source(TANG_PORT, 'PSNR')],
    'PSNR (cddfuse)': [Source(CDDFUSE, 'PSNR')],
    'PSNR (vifb)': [Source(VIFB, 'Psnr')],
    'SSIM': [Source(VIFB, 'Ssim', 2, 1e-3)],
    'SSIM (hli)': [Source(HLI, 'SSIM_shim', tolerance=1e-3, caveat=SHIM)],
    'SSIM (tang)': [Source(TANG_HARD, 'SSIM_toolbox_L1', tolerance=1e-3, caveat=SHIM)],
    'SSIM (cddfuse)': [Source(CDDFUSE, 'SSIM')],
    'SSIM (vifb)': [Source(VIFB, 'Ssim')],
    'MS-SSIM': [Source(TANG_PORT, 'MS_SSIM', 2, 1e-3)],
    'MS-SSIM (tang)': [Source(TANG_HARD, 'MS_SSIM_mef3', tolerance=1e-3)],
    'FMI_pixel': [Source(TANG_FMI, 'FMI_none', tolerance=1e-3, caveat=CROP)],
    'FMI_pixel (tang)': [Source(TANG_FMI, 'FMI_edge', tolerance=1e-3, caveat='Octave\'s `edge`, not MATLAB\'s')],
    'FMI_dct': [Source(TANG_FMI, 'FMI_dct', tolerance=1e-3, caveat=CROP)],
    'FMI_w': [Source(TANG_FMI, 'FMI_wavelet', tolerance=1e-3, caveat='a port, its wavelet not checked against MATLAB\'s `dmey`')],
    'FMI_gradient': [Source(TANG_FMI, 'FMI_gradient', tolerance=1e-3, caveat=CROP)],
    'CE (vifb)': [Source(VIFB, 'Cross_entropy')],
    'EI (vifb)': [Source(VIFB, 'Edge_intensity')],
    'RMSE (vifb)': [Source(VIFB, 'Rmse')],
}


def read_reference(path):
    """The content of metrics.json. Raises UserError if it cannot be read."""
    try:
        return json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read the toolboxes\' values from {path}: {error}') from error


def calibrate(reference, folder):
    """Compute every metric of every protocol on the reference's images -> DataFrame, a row per metric, source and triple.

    folder: what the paths in the reference start from. Columns: metric, implementation, name, divisor, triple, theirs (divided),
    ours, relative difference. Raises UserError for a missing image.
    """
    rows = []
    for triple, entry in reference['triples'].items():
        images = [read_gray(Path(folder, entry[role])) for role in ('fused', 'ir', 'vis')]
        for metric in metrics_of(ALL_PROTOCOLS):
            ours = metric.compute(*images)
            for source in CHECKED[metric.name]:
                theirs = entry['values'][source.implementation][source.name] / source.divisor
                rows.append([metric.name, *source[:3], triple, theirs, ours, ours / theirs - 1])
    return pd.DataFrame(rows, columns=['metric', 'implementation', 'name', 'divisor', 'triple', 'theirs', 'ours', 'relative difference'])


def confirmation(metric):
    """Whether implementations of different origin agree on a metric (its label), in words."""
    sources = CHECKED[metric]
    if not sources:
        return 'no toolbox prints it; it is MSE in decibels'
    origins = list(dict.fromkeys(ORIGIN[source.implementation] for source in sources))
    caveats = '; '.join(dict.fromkeys(source.caveat for source in sources if source.caveat))
    text = f'{len(origins)} sources' if len(origins) > 1 else f'one source only ({origins[0]})'
    return f'{text}; {caveats}' if caveats else text


def write_calibration(reference, table, folder):
    """Write calibration.csv, all values, and README.md, the page. table: from `calibrate`."""
    worst = table['relative difference'].abs().groupby([table['metric'], table['implementation'], table['name']]).max()
    shown = table[table['triple'] == SHOWN_TRIPLE].set_index(['metric', 'implementation', 'name'])
    rows = []
    for metric in CHECKED:
        for source in CHECKED[metric]:
            key = metric, source.implementation, source.name
            name = f'{source.name} / {source.divisor}' if source.divisor > 1 else source.name
            rows.append([metric, f'{source.implementation}: `{name}`', confirmation(metric), f'{shown.loc[key, "theirs"]:.6g}',
                         f'{shown.loc[key, "ours"]:.6g}', f'{worst[key]:.1e}'])
        if not CHECKED[metric]:
            rows.append([metric, '–', confirmation(metric), '–', '–', '–'])
    head = ['metric', 'checked against', 'confirmed by', 'theirs', 'ours', 'largest relative difference']
    implementations = ''.join(f'- **{name}**: {text}\n' for name, text in reference['_implementations'].items() if name in ORIGIN)
    write_csv(Path(folder, 'calibration.csv'), table)
    page = PAGE.format(triples=len(reference['triples']), shown=SHOWN_TRIPLE, table=markdown_table(head, rows, texts=3),
                       implementations=implementations)
    write_text(Path(folder, 'README.md'), page)

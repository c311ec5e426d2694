"""Our metrics beside the toolboxes of the field, on the same real images:
`tests/reference/metrics*.json` have their values."""
import json
from dataclasses import dataclass
from pathlib import Path
from typing import List, NamedTuple

import pandas as pd

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.base.tables import markdown_table, write_csv
from tools.data.images import read_gray
from tools.evaluation.metrics.image import Image
from tools.evaluation.protocols import ALL_PROTOCOLS, metrics_of

SHOWN_TRIPLE = 'CF1'  # whose values the page shows; the CSV file has all
TANG, TANG_HARD, TANG_FMI, TANG_PORT = 'tang_matlab_octave', 'tang_matlab_octave_hard', 'tang_fmi', 'metric_python'
CDDFUSE, VIFB, HLI, PLUGIN = 'cddfuse_evaluator', 'vifb_octave', 'hli_matlab_octave', 'exact_plugin'
TANG_2022, TANG_2022_ORDER = 'tang_2022_01_octave', 'tang_2022_01_matlab_order'
LIU, LIU_NUMPY, MEFB, FLAT_EXACT, HAN = ('zliu_octave', 'zliu_numpy_where_octave_not_run', 'mefb_octave',
                                         'numpy_flat_windows_exact', 'han_viff_octave')
# Code of one origin does not confirm itself.
ORIGIN = {TANG: 'tang', TANG_HARD: 'tang', TANG_FMI: 'tang', TANG_PORT: 'tang',
          CDDFUSE: 'cddfuse', VIFB: 'vifb', HLI: 'hli', PLUGIN: 'plug-in', TANG_2022: 'tang', TANG_2022_ORDER: 'tang',
          LIU: 'liu', LIU_NUMPY: 'liu', MEFB: 'liu', FLAT_EXACT: 'liu', HAN: 'han'}
PAGE = '''# The metrics beside the toolboxes they were checked against

Made by `python -m tools.evaluation.calibration` from `tests/reference/metrics*.json`: the toolboxes were run
on {triples} real triples of gray images.
Shown are the values of the triple {shown}, and the largest relative difference over all of them; [every
value](calibration.csv). A metric without a protocol behind its name is ours; `--protocol all` shows which toolboxes
share it. Code of one origin, such as Tang's toolbox and its Python port, counts as one source.

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
    origin: str = ''         # whose code it is, if not that of the implementation


SHIM = 'MATLAB\'s `ssim` rewritten for Octave'
CROP = 'a port, checked against Octave on 40×40 pixels'
STORED = 'rebuilt in numpy, as MATLAB stored it for ten other images'
ROUNDING = 'a rebuilding in numpy in which flat windows are exact; in the toolbox rounding decides there'
CHECKED = {
    'EN': [Source(TANG, 'EN'), Source(CDDFUSE, 'EN'), Source(VIFB, 'Entropy'), Source(HLI, 'EN'),
           Source(TANG_PORT, 'EN')],
    'SD': [Source(TANG, 'SD'), Source(CDDFUSE, 'SD'), Source(VIFB, 'Variance'), Source(TANG_PORT, 'SD')],
    'SD (hli)': [Source(HLI, 'SD')],
    'MI': [Source(PLUGIN, 'MI_sum_bits'), Source(TANG_PORT, 'MI')],
    'MI (hli)': [Source(HLI, 'MI')],
    'MI (tang, tang_2022_01)': [Source(TANG, 'MI')],
    'MI (cddfuse, vifb)': [Source(CDDFUSE, 'MI'), Source(VIFB, 'Mutinf'), Source(PLUGIN, 'MI_sum_nats')],
    'SF': [Source(TANG, 'SF'), Source(CDDFUSE, 'SF'), Source(TANG_PORT, 'SF')],
    'SF (vifb)': [Source(VIFB, 'Spatial_frequency')],
    'AG': [Source(TANG, 'AG'), Source(VIFB, 'Avg_gradient'), Source(TANG_PORT, 'AG')],
    'AG (cddfuse)': [Source(CDDFUSE, 'AG')],
    'CC': [Source(TANG, 'CC'), Source(CDDFUSE, 'CC'), Source(TANG_PORT, 'CC')],
    'SCD': [Source(TANG, 'SCD'), Source(CDDFUSE, 'SCD'), Source(TANG_PORT, 'SCD')],
    'VIF': [Source(TANG, 'VIF'), Source(CDDFUSE, 'VIFF'), Source(TANG_PORT, 'VIF')],
    'Qabf': [Source(TANG, 'Qabf'), Source(CDDFUSE, 'Qabf'), Source(VIFB, 'Qabf'), Source(TANG_PORT, 'Qabf')],
    'Nabf': [Source(TANG_HARD, 'Nabf_correct_order', tolerance=1e-3,
                    caveat='called with its arguments in the right order'),
             Source(TANG_PORT, 'Nabf', tolerance=1e-3)],
    'Nabf (tang)': [Source(TANG_HARD, 'Nabf_as_called', tolerance=1e-3)],
    'MSE': [Source(TANG, 'MSE'), Source(CDDFUSE, 'MSE', 255 ** 2), Source(TANG_PORT, 'MSE')],
    'MSE (cddfuse)': [Source(CDDFUSE, 'MSE')],
    'PSNR (tang, tang_2022_01)': [Source(TANG, 'PSNR'), Source(TANG_PORT, 'PSNR')],
    'PSNR (cddfuse)': [Source(CDDFUSE, 'PSNR')],
    'PSNR (vifb)': [Source(VIFB, 'Psnr')],
    'SSIM': [Source(VIFB, 'Ssim', 2, 1e-3)],
    'SSIM (hli)': [Source(HLI, 'SSIM_shim', tolerance=1e-3, caveat=SHIM)],
    'SSIM (tang)': [Source(TANG_HARD, 'SSIM_toolbox_L1', tolerance=1e-3, caveat=SHIM)],
    'SSIM (cddfuse)': [Source(CDDFUSE, 'SSIM')],
    'SSIM (vifb)': [Source(VIFB, 'Ssim')],
    'MS-SSIM': [Source(TANG_PORT, 'MS_SSIM', 2, 1e-3)],
    'MS-SSIM (tang, tang_2022_01)': [Source(TANG_HARD, 'MS_SSIM_mef3', tolerance=1e-3)],
    'FMI_pixel': [Source(TANG_FMI, 'FMI_none', tolerance=1e-3, caveat=CROP)],
    'FMI_pixel (tang, tang_2022_01)': [Source(TANG_FMI, 'FMI_edge', tolerance=1e-3,
                                              caveat='Octave\'s `edge`, not MATLAB\'s')],
    'FMI_dct': [Source(TANG_FMI, 'FMI_dct', tolerance=1e-3, caveat=CROP)],
    'FMI_w': [Source(TANG_FMI, 'FMI_wavelet', tolerance=1e-3,
                     caveat='a port, its wavelet not checked against MATLAB\'s `dmey`')],
    'FMI_gradient': [Source(TANG_FMI, 'FMI_gradient', tolerance=1e-3, caveat=CROP)],
    'SD (tang_2022_01)': [Source(TANG_2022, 'SD'), Source(TANG_2022_ORDER, 'SD', caveat=STORED)],
    'SF (tang_2022_01)': [Source(TANG_2022, 'SF')],
    'VIF (tang_2022_01)': [Source(TANG_2022, 'VIF'), Source(TANG_2022_ORDER, 'VIF', caveat=STORED)],
    'Qabf (tang_2022_01)': [Source(TANG_2022_ORDER, 'Qabf', caveat=STORED)],
    'Nabf (tang_2022_01)': [Source(TANG_2022, 'Nabf'), Source(TANG_HARD, 'Nabf_li_01')],
    'SSIM (tang_2022_01)': [Source(TANG_2022, 'SSIM')],
    'CE': [Source(VIFB, 'Cross_entropy')],
    'EI': [Source(VIFB, 'Edge_intensity')],
    'Q_MI': [Source(LIU, 'Q_MI'), Source(LIU_NUMPY, 'Q_MI'), Source(MEFB, 'NMI')],
    'Q_TE (liu)': [Source(LIU, 'Q_TE'), Source(LIU_NUMPY, 'Q_TE')],
    'Q_NCIE': [Source(LIU, 'Q_NCIE'), Source(LIU_NUMPY, 'Q_NCIE'), Source(MEFB, 'Qncie')],
    'Q_G': [Source(LIU, 'Q_G')],
    'Q_M': [Source(LIU, 'Q_M')],
    'Q_SF': [Source(LIU, 'Q_SF'), Source(LIU_NUMPY, 'Q_SF')],
    'Q_P': [Source(LIU, 'Q_P'), Source(MEFB, 'Qp')],
    'Q_S': [Source(LIU, 'Q_S')],
    'Q_C': [Source(FLAT_EXACT, 'Q_C', caveat=ROUNDING), Source(MEFB, 'Qc')],
    'Q_Y': [Source(FLAT_EXACT, 'Q_Y', caveat=ROUNDING), Source(MEFB, 'Qy')],
    'Q_CV': [Source(LIU, 'Q_CV'), Source(VIFB, 'Qcv', origin='liu')],
    'Q_CB': [Source(LIU, 'Q_CB'), Source(VIFB, 'Qcb', origin='liu')],
    'VIFF': [Source(HAN, 'VIFF')],
    'RMSE (vifb)': [Source(VIFB, 'Rmse')],
}
UNCHECKED = {'PSNR': 'no toolbox prints it; it is MSE in decibels',
             'Q_TE': 'no toolbox has its marginals the right way round'}


def read_reference(paths):
    """The content of metrics.json and the files like it, as one. Raises UserError if one cannot be read."""
    whole = {'_implementations': {}, 'triples': {}}
    for path in paths:
        try:
            content = json.loads(Path(path).read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise UserError(f'cannot read the toolboxes\' values from {path}: {error}') from error
        whole['_implementations'] = {**content['_implementations'], **whole['_implementations']}
        for name, triple in content['triples'].items():
            values = whole['triples'].setdefault(name, {**triple, 'values': {}})['values']
            for implementation, found in triple['values'].items():
                values.setdefault(implementation, {}).update(found)
    return whole


def value_of(triple, source):
    """What a Source gives for a triple of the reference, or None if it was not run on it."""
    value = triple['values'].get(source.implementation, {}).get(source.name)
    return None if value is None else value / source.divisor


def calibrate(reference, folder):
    """Compute every metric of every protocol on the reference's images -> DataFrame, a row
    per metric, source and triple.

    folder: what the paths in the reference start from. Columns: metric, implementation, name, divisor, triple, theirs
    (divided), ours, relative difference. Raises UserError for a missing image.
    """
    rows = []
    for triple, entry in reference['triples'].items():
        images = [Image(read_gray(Path(folder, entry[role]))) for role in ('fused', 'ir', 'vis')]
        for metric in metrics_of(ALL_PROTOCOLS, every=True):
            found = [(source, value_of(entry, source)) for source in CHECKED.get(metric.name, [])]
            found = [(source, theirs) for source, theirs in found if theirs is not None]
            ours = metric.compute(*images) if found else None
            for source, theirs in found:
                rows.append([metric.name, *source[:3], triple, theirs, ours, ours / theirs - 1])
    return pd.DataFrame(rows, columns=['metric', 'implementation', 'name', 'divisor', 'triple', 'theirs', 'ours',
                                       'relative difference'])


def confirmation(metric):
    """Whether implementations of different origin agree on a metric (its label), in words."""
    sources = CHECKED.get(metric)
    if not sources:
        return UNCHECKED.get(metric, 'not checked against any toolbox')
    origins = list(dict.fromkeys(source.origin or ORIGIN[source.implementation] for source in sources))
    caveats = '; '.join(dict.fromkeys(source.caveat for source in sources if source.caveat))
    text = f'{len(origins)} sources' if len(origins) > 1 else f'one source only ({origins[0]})'
    return f'{text}; {caveats}' if caveats else text


def write_calibration(reference, table, folder):
    """Write calibration.csv, all values, and README.md, the page. table: from `calibrate`."""
    worst = table['relative difference'].abs().groupby([table['metric'], table['implementation'], table['name']]).max()
    shown = table[table['triple'] == SHOWN_TRIPLE].set_index(['metric', 'implementation', 'name'])
    rows = []
    for metric in (metric.name for metric in metrics_of(ALL_PROTOCOLS, every=True)):
        for source in CHECKED.get(metric, []):
            key = metric, source.implementation, source.name
            if key not in worst.index:  # not run on these images
                continue
            name = f'{source.name} / {source.divisor}' if source.divisor > 1 else source.name
            rows.append([metric, f'{source.implementation}: `{name}`', confirmation(metric),
                         *(f'{shown.loc[key, whose]:.6g}' if key in shown.index else '–'
                           for whose in ('theirs', 'ours')),
                         f'{worst[key]:.1e}'])
        if metric not in CHECKED:
            rows.append([metric, '–', confirmation(metric), '–', '–', '–'])
    head = ['metric', 'checked against', 'confirmed by', 'theirs', 'ours', 'largest relative difference']
    implementations = ''.join(f'- **{name}**: {text}\n' for name, text in reference['_implementations'].items()
                              if name in ORIGIN)
    write_csv(Path(folder, 'calibration.csv'), table)
    page = PAGE.format(triples=len(reference['triples']), shown=SHOWN_TRIPLE, table=markdown_table(head, rows, texts=3),
                       implementations=implementations)
    write_text(Path(folder, 'README.md'), page)


@dataclass
class Args:
    reference: List[str] = setting(['./tests/reference/metrics.json', './tests/reference/metrics_more.json'],
                                   "files with the toolboxes' values, and the images they are of")
    folder: str = setting('../shared', 'the folder that the paths of these images start from')
    out: str = setting('./results/calibration', 'the folder for the page and the table')


def main(arguments=None):
    settings = parse_settings(Args, __doc__, arguments)
    reference = read_reference(settings.reference)
    table = calibrate(reference, settings.folder)
    write_calibration(reference, table, settings.out)
    worst = table.loc[table['relative difference'].abs().idxmax()]
    print(f'{len(table)} values; the largest relative difference is {worst["relative difference"]:.1e}, of '
          f'{worst["metric"]} from {worst["implementation"]}: {settings.out}')


if __name__ == '__main__':
    run_script(main)

"""Reading what training wrote about its losses: CSV (ours and of other tools), text logs
(ours and the original's), the original's .mat."""
import csv
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
import pandas as pd
import scipy.io

from tools.base.errors import UserError
from tools.base.files import printable
from tools.data.images import natural_key

TOTAL = 'total loss'
LABELS = {'recon loss': 'reconstruction loss', 'ssim loss': 'SSIM loss', 'pix loss': 'pixel loss',
          'gra loss': 'gradient loss'}
AUTOENCODER, FUSION, UNKNOWN = 'autoencoder', 'fusion', 'unknown'  # what a run trained

CSV_NAME, LOG_NAME = 'losses.csv', 'train.log'
# The last is TensorBoard's, whose name of the loss is in that of the file
STEP, EPOCH, LR, VALUE = 'step', 'epoch', 'lr', 'value'
COLUMNS = {'iteration': STEP, 'iter': STEP, 'global step': STEP, 'trainer global step': STEP, 'learning rate': LR,
           # Other tools' names, as `_column` leaves them
           **dict.fromkeys(('loss', 'total', 'training loss', 'loss total'), TOTAL)}
NO_LOSSES = ('images per second', 'wall time', 'time', 'runtime', 'timestamp', 'batch', 'batch idx', 'created at',
             'relative time', 'id')
INDEX = '', 'unnamed: 0', 'index'  # names of the first column where pandas wrote its index
SEPARATORS, MISSING = ',;\t|', ('', 'na', 'n/a', 'none', 'null', '-')
WANDB_BOUND = re.compile(r'__(MIN|MAX)$')  # beside each value in an export of W&B
TENSORBOARD_TAG = re.compile(r'tag-(.+)$')  # in the name of a file that TensorBoard wrote: run-NAME-tag-NAME.csv
LOOKED_FOR = ('looked for a table with a line of names (step or epoch, and losses), separated by , ; | or tabs; or for '
              'a log with entries `Epoch 1/4 … Batch 10/100 … total loss: 5.0`')
SHOWN = 200  # characters of what was found instead
FIRST_LINE = 10_000  # characters, among which names of columns are looked for
NUMBER = r'[-+]?(?:nan|inf|\d+\.?\d*(?:e[-+]?\d+)?)'
LOG_ENTRY = re.compile(r'Epoch\s+(\d+)\s*/\s*\d+.*?Batch\s+(\d+)\s*/\s*(\d+)', re.IGNORECASE)
LOG_VALUE = re.compile(rf'(?:^|- |\t)[ \t]*([^\W\d][\w ]*):\s*({NUMBER})', re.IGNORECASE | re.MULTILINE)
MAT_EPOCH = re.compile(r'_e(\d+)(?=_|$)')
UTF_16_MARKS = b'\xff\xfe', b'\xfe\xff'  # PowerShell's `>` writes such files


class Run(NamedTuple):
    """The losses of one training run.

    losses: a row per logged step, indexed by `step` (from 1, increasing), with `epoch` (from 1), `lr` (or NaN), and
    each loss that the source has, by its name in the logs (`pix loss`). A text log's values are means over the steps
    since the row before.
    stage: AUTOENCODER, FUSION, or UNKNOWN (a .mat file holds the total only). notes: what was left out, and why.
    """
    name: str
    losses: pd.DataFrame
    stage: str
    notes: List[str]

    @property
    def loss_names(self):
        """The total first."""
        return [name for name in self.losses if name not in ('epoch', 'lr')]


def read_runs(path) -> List[Run]:
    """The runs in a run folder, CSV file, text log or .mat file: one, or two where a log holds both stages.

    Raises UserError if there is nothing to read in it.
    """
    path = Path(path)
    source = _source_in(path) if path.is_dir() else path
    name = path.resolve().name if path.is_dir() else path.stem
    if source.name in (CSV_NAME, LOG_NAME):
        name = source.resolve().parent.name
    if source.suffix.lower() == '.mat':
        table, notes = _read_mat(source)
    elif 'tfevents' in source.name:
        raise UserError(f'{source} is an event file of TensorBoard: let it write the losses as CSV, or log into a CSV '
                        'file')
    else:
        text = _read_text(source)
        table, notes = _parse_csv(text, source.stem) if _is_csv(text, source.suffix.lower()) else _parse_log(text)
        if not len(table):
            beginning = printable(text.strip().partition('\n')[0][:SHOWN])
            raise UserError('; '.join([f'{source} holds no losses', *notes,
                                       f'{LOOKED_FOR}; it begins with {beginning!r}']))
    if not len(table):
        raise UserError(f'{source} holds no losses')
    return _split_stages(printable(name), table, notes)


def newest_runs(models) -> Tuple[Dict[str, Run], List[str]]:
    """The newest runs under `models`, by 'ir', 'vi' and 'fusion' where there are; notes on those passed over."""
    found, notes = {}, []
    for kind, pattern in (('ir', 'autoencoder/ir_*'), ('vi', 'autoencoder/vi_*'), ('fusion', 'transfuse/*')):
        folders = [folder for folder in Path(models).glob(pattern) if folder.is_dir()]
        for folder in sorted(folders, key=_last_written, reverse=True):
            try:
                found[kind] = read_runs(folder)[0]
                break
            except UserError as error:
                notes.append(str(error))
    return found, notes


def epoch_means(run: Run) -> pd.DataFrame:
    """A row per epoch, indexed by it: `steps` (logged so far), `lr` (the last), and the mean of each loss."""
    rules = {'step': 'last', 'lr': 'last', **dict.fromkeys(run.loss_names, 'mean')}
    return run.losses.reset_index().groupby('epoch').agg(rules).rename(columns={'step': 'steps'})


def smoothed(run: Run, loss: str, window: int) -> pd.Series:
    """Centred moving mean of a loss over `window` steps, indexed by step.

    At the ends the window is narrower; values that are not finite are left out.
    """
    values = run.losses[loss]
    # A rolling window is a number of rows or a time; so the steps are taken for seconds.
    by_time = values.set_axis(pd.to_timedelta(values.index, 's'))
    rolling = by_time.rolling(pd.Timedelta(window, 's'), center=True, closed='both')
    return rolling.mean().set_axis(values.index)


def relative_difference(curve: pd.Series, reference: pd.Series) -> pd.Series:
    """(curve − reference) / |reference| in percent, where both have values; the curve is interpolated."""
    reference = reference[(reference.index >= curve.index[0]) & (reference.index <= curve.index[-1])]
    at_steps = np.interp(reference.index, curve.index, curve)
    return 100 * (at_steps - reference) / reference.abs().replace(0, np.nan)


def _last_written(folder: Path) -> float:
    return max((file.stat().st_mtime for file in folder.iterdir()), default=0.0)


def _source_in(folder: Path) -> Path:
    """The file to read in a run folder: the CSV, else the log, else the last .mat (it holds the earlier ones)."""
    for name in (CSV_NAME, LOG_NAME):
        if (folder / name).is_file():
            return folder / name
    texts = [file for file in folder.iterdir() if file.suffix.lower() in ('.log', '.txt', '.csv', '.tsv')]
    if len(texts) > 1:
        names = ', '.join(sorted(file.name for file in texts))
        raise UserError(f'{folder} holds several logs ({names}): name one of them')
    mats = [*folder.glob('loss_data*.mat'), *folder.glob('loss/loss_data*.mat')]
    if not texts and not mats:
        raise UserError(f'{folder} holds no losses: no {CSV_NAME}, no log, no loss_data_*.mat')
    return texts[0] if texts else max(mats, key=lambda file: natural_key(file.name))


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror}') from error
    return data.decode('utf-16' if data[:2] in UTF_16_MARKS else 'utf-8-sig', errors='replace')


def _is_csv(text: str, extension: str) -> bool:
    """Whether a text is a table with names of columns, by its extension or by the names."""
    header, = _cells(text.replace('\0', '').lstrip()[:FIRST_LINE].splitlines()[:1])
    return extension in ('.csv', '.tsv') or len(header) > 1 and bool({STEP, EPOCH} & set(map(_column, header)))


def _cells(lines) -> List[List[str]]:
    """Lines of CSV as lists of cells; the separator that is most frequent in the first line counts."""
    separator = max(SEPARATORS, key=lines[0].count) if lines else ','
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)] or [[]]


def _parse_csv(text: str, stem: str) -> Tuple[pd.DataFrame, List[str]]:
    """CSV of ours (step, epoch, lr, the losses, images_per_second), or by TensorBoard,
    Lightning, W&B, Keras, pandas."""
    notes = []
    # A power failure can leave zeros in a file
    whole, end, rest = text.replace('\0', '').lstrip('\r\n').rpartition('\n')
    if rest.strip():
        notes.append('its last line is cut off (a run in progress?) and left out')
    header, *rows = _cells(whole.splitlines() if end else [])
    # The header comes again where files were joined into one
    rows = [row for row in rows if any(row) and row != header]
    fitting = [row for row in rows if len(row) == len(header)]
    cells = pd.DataFrame(fitting, columns=range(len(header)), dtype=str)
    numbers = cells.apply(lambda column: column.map(_number))
    empty = cells.apply(lambda column: column.str.lower().isin(MISSING))
    foreign = numbers.isna() & ~empty & ~cells.apply(lambda column: column.str.lower().str.endswith('nan'))
    kept = {name: index for index, name in _columns(header, stem).items() if not (foreign[index] | empty[index]).all()}
    table = numbers[list(kept.values())].set_axis(list(kept), axis=1)[~foreign[list(kept.values())].any(axis=1)]
    if STEP not in table:
        table[STEP] = np.arange(1.0, len(table) + 1)
    table = table[np.isfinite(table[STEP]) & np.isfinite(table.get(EPOCH, table[STEP]))]
    if len(table) < len(rows):
        notes.append(f'{len(rows) - len(table)} damaged or foreign lines are left out')
    if not set(table) - {STEP, EPOCH, LR}:
        return table[:0], notes + [f'of its columns none is of a loss with values: {", ".join(header)[:SHOWN]}']
    for name in {STEP, EPOCH} & set(table):  # some tools count from 0
        table[name] += table[name].min() == 0
    return _merged(table).assign(stage=_stage(table)), notes


def _merged(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of one step as one, where each loss is in one of them only: Lightning writes those of
    training and of validation apart."""
    group = (table[STEP] != table[STEP].shift()).cumsum()
    losses = [name for name in table if name not in (STEP, EPOCH, LR)]
    apart = (table[losses].notna().groupby(group).transform('sum') <= 1).all(axis=1)
    return table.groupby(group.where(apart, -1.0 - np.arange(len(table))), sort=False).first().reset_index(drop=True)


def _number(cell: str) -> float:
    """A cell as a number, also with a decimal comma; NaN where it is empty or something else."""
    try:
        return float(cell.replace('.', '').replace(',', '.') if ',' in cell else cell)
    except ValueError:
        return np.nan


def _columns(header: List[str], stem: str) -> Dict[int, str]:
    """The columns to read, and their names in the logs: those of one name, as of several runs, keep their own."""
    tag = TENSORBOARD_TAG.search(stem)
    names = {index: _column(text, tag.group(1) if tag else TOTAL) for index, text in enumerate(header)
             if not WANDB_BOUND.search(text)}
    if header and _column(header[0]) in INDEX:
        names[0] = STEP if STEP not in names.values() else ''
    names = {index: name for index, name in names.items() if name and name not in NO_LOSSES}
    return {index: name if list(names.values()).count(name) == 1 else _name(header[index])
            for index, name in names.items()}


def _column(text: str, value: str = TOTAL) -> str:
    """What a column is called in the logs; `value` is the loss of which TensorBoard's column Value is."""
    name = re.sub('[-/ ]+', ' ', _name(text.rpartition(' - ')[2])).strip()  # W&B: RUN - LOSS
    name = re.sub(r'^train |(?<=loss) (train|step)$', '', name)
    return COLUMNS.get(name, name) if name != VALUE else _column(value)


def _parse_log(text: str) -> Tuple[pd.DataFrame, List[str]]:
    """Text logs: entries go from `Epoch a/b … Batch c/d` to `total loss: x`, in the original over two lines."""
    starts = list(LOG_ENTRY.finditer(text))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    entries, unfinished = [], 0
    for start, end in zip(starts, ends):
        epoch, batch, batches = (int(group) for group in start.groups())
        entry: Dict[str, float] = {'step': (epoch - 1) * batches + batch, 'epoch': epoch}
        for value in LOG_VALUE.finditer(text, start.end(), end):
            entry[_name(value.group(1))] = float(value.group(2))
            if TOTAL in entry:
                break
        if TOTAL in entry and value.end() < len(text):  # at the end of the text, the number may go on
            entries.append({**entry, 'stage': _stage(entry)})
        else:
            unfinished += 1
    notes = [f'{unfinished} entries are cut off (a run in progress?) and left out'] if unfinished else []
    return pd.DataFrame(entries), notes


def _name(text: str) -> str:
    """A loss as the logs name it: `pix loss` for the CSV's `pix_loss`, or another's `PixLoss`."""
    return re.sub(r'(?<=[a-z])(?=[A-Z][a-z])', ' ', text.strip()).lower().replace('_', ' ').strip()


def _read_mat(path: Path) -> Tuple[pd.DataFrame, List[str]]:
    """The original's loss_data_…_e<epoch, from 0>.mat: the total loss of every step since the start."""
    try:
        content = scipy.io.loadmat(path)
    except Exception as error:  # whatever scipy stumbles over in a damaged file: it checks little itself
        raise UserError(f'cannot read {path}: {error}') from error
    if 'loss_data' not in content:
        names = ', '.join(name for name in content if not name.startswith('__')) or 'none'
        raise UserError(f'{path} holds no variable loss_data, as the losses of the original are called, but '
                        f'{printable(names)}')
    total = np.asarray(content['loss_data'], float).ravel()
    epoch = MAT_EPOCH.search(path.stem)
    epochs = int(epoch.group(1)) + 1 if epoch else 1
    index = np.arange(len(total))
    epoch_of_step = 1 + index * epochs // max(len(total), 1)
    return pd.DataFrame({'step': index + 1, 'epoch': epoch_of_step, TOTAL: total, 'stage': UNKNOWN}), []


def _split_stages(name: str, table: pd.DataFrame, notes: List[str]) -> List[Run]:
    found = list(table['stage'].unique())
    if len(found) > 1:
        notes = notes + [f'it holds entries of several kinds ({", ".join(found)}), shown as a run each']
    return [_run(name if len(found) == 1 else f'{name} ({stage})', of_stage, stage, notes)
            for stage, of_stage in table.groupby('stage', sort=False)]


def _stage(names) -> str:
    """Which training has losses of these names."""
    if {'pix loss', 'gra loss'} & set(names):
        return FUSION
    return AUTOENCODER if {'recon loss', 'ssim loss'} & set(names) else UNKNOWN


def _run(name: str, table: pd.DataFrame, stage: str, notes: List[str]) -> Run:
    """Where the steps go back, the run was resumed or started anew: what follows replaces what was there."""
    steps = table['step'].to_numpy()
    lowest_from_here = np.minimum.accumulate(steps[::-1])[::-1]
    keep = np.r_[steps[:-1] < lowest_from_here[1:], True]
    if not keep.all():
        notes = notes + [f'its steps go back (a resumed run, or several in one file): the later values count, '
                         f'{int((~keep).sum())} earlier ones are left out']
    names = sorted((name for name in table if name not in ('step', 'epoch', 'lr', 'stage')),
                   key=lambda loss: loss != TOTAL)
    losses = table[keep].reindex(columns=['step', 'epoch', 'lr', *names]).fillna({'epoch': 1})
    losses = losses.astype({'step': int, 'epoch': int}).set_index('step')
    unused = [loss for loss in names if loss != TOTAL and (losses[loss] == 0).all()]  # the original logs five such
    if unused:
        notes = notes + [f'0 at every step, and left out: {", ".join(unused)}']
    losses = losses.drop(columns=[*unused, *(loss for loss in names if losses[loss].isna().all())])
    finite = np.isfinite(losses.drop(columns=['epoch', 'lr']))
    if not finite.to_numpy().any():
        raise UserError(f'{name} holds no losses that are finite numbers')
    wrong = int((~finite).any(axis=1).sum())
    if wrong:
        notes = notes + [f'{wrong} of its steps have a loss that is missing or not a finite number']
    return Run(name, losses, stage, notes)

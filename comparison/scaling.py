"""Part 6: how time and memory grow with the image, with the batch, and with the number of steps and images."""
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from comparison.inputs import MODALITIES, write_batches, write_resized
from comparison.report import write_part
from comparison.sides import JITTOR, NAMES, PYTORCH, open_sides
from comparison.training import STAGES, start_stage
from tools.base.figures import figure_style, save_figure
from tools.base.tables import markdown_table
from tools.data.images import write_image

MEGAPIXELS = (0.1, 0.3, 1, 3, 12)
BATCHES = (1, 2, 4, 8, 16)
STEPS, IMAGES = 500, 200  # while memory is looked at
SMALL = dict(megapixels=MEGAPIXELS[:2], batches=BATCHES[:2], steps=10, images=5)  # a trial
ASPECT = 4 / 3  # width to height
SMALLEST, LARGEST = 128, 640  # pixels along a side, of the images of different sizes
MEASURED_PIXELS = 3  # megapixels, in as many rounds as make this much
REPEATS = 3  # steps timed after one to warm up
IMAGE, BATCH, STEP, ONE_MORE = 'fused image', 'batch of stage 2', 'training steps', 'fused images of different sizes'
PANELS = {IMAGE: ('megapixels', 'seconds per megapixel'), BATCH: ('pairs in a batch', 'seconds per pair'),
          STEP: ('training steps', 'MiB'), ONE_MORE: ('images of different sizes', 'MiB')}


class Row(NamedTuple):
    """A point: of `what` there are `number`, and it took `value`: seconds per megapixel or pair, or the memory in MiB."""
    what: str
    side: str
    number: float
    value: float


def compare(setup, initial, items, pair, seed, out, note, megapixels=MEGAPIXELS, batches=BATCHES, steps=STEPS, images=IMAGES):
    """Measure and write table and figure.

    initial: {network: file}. items: training pairs, of which batches are filled. pair: PairFile, resized to all sizes.
    """
    files = [write_batches(setup.work / f'batches_of_{batch}.npy', items, batch, 1, seed) for batch in batches if batch <= len(items)]
    rows = [*_fusing_time(setup, initial, pair, megapixels), *_training_time(setup, initial, files),
            *_memory(setup, initial, files[0], pair, steps, images, seed)]
    save_figure(draw(rows), out / 'scaling')
    write_part(out, 'scaling', rows, describe(rows, note))


def _fusing_time(setup, initial, pair, megapixels):
    with open_sides((PYTORCH, JITTOR), setup) as sides:
        for side in sides.values():
            side.ask('start_fusing', **initial)
        for size in tqdm(megapixels, IMAGE, unit='size'):
            height = round((1e6 * size / ASPECT) ** 0.5)
            resized = write_resized(setup.work / 'scaling.npy', pair, (height, round(ASPECT * height)))
            rounds = int(np.clip(MEASURED_PIXELS / size, 1, REPEATS))
            for name, side in sides.items():
                yield Row(IMAGE, NAMES[name], size, _seconds(side, rounds, 'fuse', pair=resized.path) / size)


def _training_time(setup, initial, files):
    with open_sides((PYTORCH, JITTOR), setup) as sides:
        for side in sides.values():
            start_stage(side, STAGES['stage_2'], initial)
        for file in tqdm(files, BATCH, unit='size'):
            for name, side in sides.items():
                yield Row(BATCH, NAMES[name], file.batch, _seconds(side, REPEATS, 'step', batches=file.path, index=0, epoch=0) / file.batch)


def _seconds(side, rounds, method, **arguments):
    """The median time of a method, after one to warm up."""
    return np.median([side.ask(method, **arguments).seconds for _ in range(1 + rounds)][1:])


def _memory(setup, initial, batches, pair, steps, images, seed):
    """Of Jittor after each step, and after each image."""
    with open_sides((JITTOR,), setup) as sides:
        side = sides[JITTOR]
        start_stage(side, STAGES['stage_2'], initial)
        for step in tqdm(range(steps), STEP, unit='step'):
            side.ask('step', batches=batches.path, index=0, epoch=0)
            yield Row(STEP, NAMES[JITTOR], step + 1, side.ask('memory').result)
    random = np.random.RandomState(seed)
    with open_sides((JITTOR,), setup) as sides:
        side = sides[JITTOR]
        side.ask('start_fusing', **initial)
        for image in tqdm(range(images), ONE_MORE, unit='image'):
            resized = write_resized(setup.work / 'scaling.npy', pair, tuple(map(int, random.randint(SMALLEST, LARGEST, 2))))
            files = [setup.work / f'scaling_{modality}.png' for modality in MODALITIES]
            for path, picture in zip(files, np.load(resized.path)):
                write_image(path, picture)
            side.ask('fuse_files', pairs=[list(map(str, files))], out=setup.work / 'scaling')
            yield Row(ONE_MORE, NAMES[JITTOR], image + 1, side.ask('memory').result)


def describe(rows, note):
    """The rows as Markdown, of memory only the largest in each quarter."""
    table = pd.DataFrame(rows, columns=Row._fields)
    times = table[table['what'].isin((IMAGE, BATCH))]
    shown = times.pivot_table('value', ['what', 'number'], 'side', sort=False).reset_index()
    seconds = markdown_table(['seconds per megapixel or pair', '', *shown.columns[2:]],
                             [[what, f'{number:g}', *(f'{value:.3f} s' for value in values)] for what, number, *values in shown.to_numpy()])
    quarters = []
    for what in (STEP, ONE_MORE):
        values = table.loc[table['what'] == what, 'value'].to_numpy()
        quarters.append([f'{len(values)} {what}', *(f'{part.max():.0f} MiB' for part in np.array_split(values, 4))])
    memory = markdown_table(['memory of Jittor', 'first quarter', 'second', 'third', 'last'], quarters)
    return (f'## Scaling\n\n![Time per megapixel and per pair, memory over steps and images](scaling.png)\n\n{seconds}\n{memory}\n'
            f'Memory: the largest in each quarter of the steps or images. Images of different sizes: {SMALLEST} to {LARGEST} pixels along '
            f'either side. {note}\n')


def draw(rows):
    """A figure with a panel for each of PANELS."""
    table = pd.DataFrame(rows, columns=Row._fields)
    with figure_style('paper'):
        figure = Figure(figsize=(8.5, 5), layout='constrained')
        for axes, (what, (across, up)) in zip(figure.subplots(2, 2).flat, PANELS.items()):
            for side, points in table[table['what'] == what].groupby('side', sort=False):
                axes.plot(points['number'], points['value'], marker='o' if what in (IMAGE, BATCH) else '', label=side)
            if what in (IMAGE, BATCH):
                axes.set_xscale('log', base=2 if what == BATCH else 10)
                axes.legend(frameon=False)
            axes.set(xlabel=across, ylabel=up)
            axes.set_ylim(bottom=0)
    return figure

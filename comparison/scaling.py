"""Part 6: how time and memory grow with the image, with the batch, and with the number of steps and images."""
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from comparison.inputs import MODALITIES, write_batches, write_resized
from comparison.report import write_part
from comparison.sides import JITTOR, NAMES, open_sides
from comparison.speed import as_texts, fusing_task, seconds_of, training_task
from comparison.training import STAGES
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


class Point(NamedTuple):
    """Of `what` there are `number`, and it took `value`: seconds per megapixel or pair, or the memory in MiB."""
    what: str
    side: str
    number: float
    value: float


def measure_scaling(setup, initial, items, pair, seed, out, note, megapixels=MEGAPIXELS, batches=BATCHES, steps=STEPS,
                    images=IMAGES):
    """Measure and write table and figure.

    initial: {network: file}. items: training pairs, of which batches are filled. pair: PairFile, resized to all sizes.
    """
    points = []
    for size in megapixels:
        height = round((1e6 * size / ASPECT) ** 0.5)
        fused = fusing_task(setup, initial, pair, (height, round(ASPECT * height)))
        points += _times(setup, IMAGE, fused, size, int(np.clip(MEASURED_PIXELS / size, 1, REPEATS)))
    files = [write_batches(setup.work / f'batches_of_{batch}.npy', items, batch, 1, seed)
             for batch in batches if batch <= len(items)]
    trained = [training_task('training step', STAGES['stage_2'], file, initial) for file in files]
    for file, task in zip(files, trained):
        points += _times(setup, BATCH, task, file.batch, REPEATS)
    points += [*_memory(setup, STEP, trained[0].start, [(trained[0].method, trained[0].arguments)] * steps),
               *_memory(setup, ONE_MORE, fused.start, _of_all_sizes(setup, pair, images, seed))]
    save_figure(draw(points), out / 'scaling')
    write_part(out, 'scaling', points, scaling_text(points, note))


def _times(setup, what, task, number, rounds):
    """Points of both sides: median seconds of so many rounds, after one to warm up, over the number."""
    with open_sides(task.sides, setup) as sides:
        return [Point(what, NAMES[name], number, np.median(seconds[1:]) / number)
                for name, seconds in seconds_of(sides, task, 1 + rounds).items()]


def _memory(setup, what, start, tasks):
    """Points of Jittor, after each task (method, its arguments)."""
    with open_sides((JITTOR,), setup) as sides:
        side = sides[JITTOR]
        start(side)
        for number, (method, arguments) in enumerate(tqdm(tasks, what), 1):
            side.ask(method, **arguments)
            yield Point(what, NAMES[JITTOR], number, side.ask('memory').result)


def _of_all_sizes(setup, pair, images, seed):
    """Tasks: to fuse files of the pair, resized at random."""
    random = np.random.RandomState(seed)
    files = [setup.work / f'scaling_{modality}.png' for modality in MODALITIES]
    for _ in range(images):
        size = tuple(map(int, random.randint(SMALLEST, LARGEST, 2)))
        for path, picture in zip(files, np.load(write_resized(setup.work / 'scaling.npy', pair, size).path)):
            write_image(path, picture)
        yield 'fuse_files', dict(pairs=as_texts([files]), out=setup.work / 'scaling')


def scaling_text(points, note):
    """The points as Markdown, of memory only the largest in each quarter."""
    table = pd.DataFrame(points)
    shown = table[table['what'].isin((IMAGE, BATCH))].pivot_table('value', ['what', 'number'], 'side', sort=False)
    seconds = markdown_table(
        ['seconds per megapixel or pair', '', *shown],
        [[what, f'{number:g}', *(f'{value:.3f} s' for value in row)] for (what, number), row in shown.iterrows()])
    quarters = []
    for what in (STEP, ONE_MORE):
        values = table.loc[table['what'] == what, 'value'].to_numpy()
        largest = [f'{part.max():.0f} MiB' for part in np.array_split(values, 4)]
        quarters.append([f'{len(values)} {what}', *largest])
    memory = markdown_table(['memory of Jittor', 'first quarter', 'second', 'third', 'last'], quarters)
    return (f'## Scaling\n\n![Time per megapixel and per pair, memory over steps and '
            f'images](scaling.png)\n\n{seconds}\n'
            f'{memory}\nMemory: the largest in each quarter of the steps or images. Images of different sizes: '
            f'{SMALLEST} to '
            f'{LARGEST} pixels along either side. {note}\n')


def draw(points):
    """A figure with a panel for each of PANELS."""
    table = pd.DataFrame(points)
    with figure_style('paper'):
        figure = Figure(figsize=(8.5, 5), layout='constrained')
        for axes, (what, (across, up)) in zip(figure.subplots(2, 2).flat, PANELS.items()):
            of_both = what in (IMAGE, BATCH)
            for side, of_side in table[table['what'] == what].groupby('side', sort=False):
                axes.plot(of_side['number'], of_side['value'], marker='o' if of_both else '', label=side)
            if of_both:
                axes.set_xscale('log', base=2 if what == BATCH else 10)
                axes.legend(frameon=False)
            axes.set(xlabel=across, ylabel=up)
            axes.set_ylim(bottom=0)
    return figure

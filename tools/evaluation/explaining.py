"""Which definition, which handling of the images, or which known mistake gives a printed number."""
import math
from functools import partial
from typing import Callable, List, NamedTuple

import cv2
import numpy as np
import pandas as pd

from tools.base.errors import UserError
from tools.data.reading import AS_THEY_ARE
from tools.evaluation.metrics import of_fused
from tools.evaluation.metrics.features import ag, ei, nabf, sd
from tools.evaluation.metrics.image import PEAK, Image
from tools.evaluation.metrics.information import en, mi
from tools.evaluation.metrics.perception import vif
from tools.evaluation.metrics.similarity import cc, ms_ssim, mse, psnr, scd, ssim
from tools.evaluation.protocols import ALL_PROTOCOLS, base_name, definitions
from tools.evaluation.scoring import match_methods, read_planes, run_in_parallel, select_metrics

NEAREST = 5  # explanations shown


class Question(NamedTuple):
    """A number that is printed somewhere."""
    metric: str
    value: float
    accuracy: float  # half a unit in its last digit


class Definition(NamedTuple):
    """A way to compute what is called by the name of a metric."""
    metric: str
    text: str
    compute: Callable  # (fused, ir, vi) -> float


class Answer(NamedTuple):
    """What the definitions give for the images of the methods."""
    # Columns method, definition, images (how they are handled), number (of them), value, distance; the nearest first
    table: pd.DataFrame
    problems: List[str]  # images that were left out, and why


def parse_question(text):
    """'SD=73.47' -> Question. Raises UserError for other texts, and for a metric that no protocol has."""
    name, _, number = text.partition('=')
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'explain takes METRIC=NUMBER, such as SD=73.47, not {text!r}')
    metric = base_name(select_metrics(ALL_PROTOCOLS, [name])[0])
    decimals = len(number.lower().partition('e')[0].partition('.')[2])
    return Question(metric, value, 0.5 * 10 ** -decimals)


def _times(factor, compute):
    return lambda *images: factor * compute(*images)


def _one_source(compute, index):
    """compute with one source in the place of both: of the mean of two the value of one."""
    return lambda fused, *sources: compute(fused, sources[index], sources[index])


def known_mistakes():
    """Ways of computing that are met in papers and code, and that no protocol has -> list of Definition."""
    mistakes = [
        Definition('EN', 'in nats', of_fused(lambda fused: en(fused) * np.log(2))),
        Definition('SD', 'the variance, its square', of_fused(lambda fused: sd(fused) ** 2)),
        Definition('AG', 'the gradient not divided by √2', of_fused(lambda fused: ag(fused) * 2 ** 0.5)),
        Definition('AG', 'mean strength of the Sobel gradient', of_fused(ei)),
        Definition('MSE', 'sum over both sources', _times(2, mse)),
        Definition('MSE', 'its root, on 0…255', lambda *images: mse(*images) ** 0.5 * PEAK),
        Definition('PSNR', 'mean of one for each source',
                   lambda fused, ir, vi: (psnr(fused, ir, ir) + psnr(fused, vi, vi)) / 2),
        Definition('Nabf', 'of the visible image against the others', lambda fused, ir, vi: nabf(vi, fused, ir)),
    ]
    for metric, compute in (('SD', sd), ('AG', ag)):
        mistakes.append(Definition(metric, 'of values on 0…1',
                                   of_fused(lambda fused, compute=compute: compute(fused) / PEAK)))
    for metric, compute in (('MI', mi), ('SCD', scd), ('VIF', vif)):
        mistakes.append(Definition(metric, 'mean of both sources instead of their sum', _times(0.5, compute)))
    for metric, compute in (('CC', cc), ('MS-SSIM', ms_ssim)):
        mistakes.append(Definition(metric, 'sum of both sources instead of their mean', _times(2, compute)))
    mistakes.append(Definition('MS-SSIM', 'with the range 255', partial(ms_ssim, value_range=PEAK)))
    for metric, compute, share in (('MI', mi, 0.5), ('VIF', vif, 0.5), ('CC', cc, 1), ('SSIM', ssim, 1)):
        for index, source in enumerate(('infrared', 'visible')):
            mistakes.append(Definition(metric, f'of the {source} image only',
                                       _times(share, _one_source(compute, index))))
    return mistakes


def definitions_of(metric):
    """All that may be meant by a metric's name -> list of Definition."""
    found = [Definition(metric, 'protocol ' + ', '.join(protocols), one.compute)
             for one, protocols in definitions().items()
             if one.name == metric]
    return found + [mistake for mistake in known_mistakes() if mistake.metric == metric]


def handlings(paths, reading=AS_THEY_ARE):
    """How the images may have been handled before -> {text: list of (fused, ir, vi), over which the mean is taken}."""
    luma, colour = (read_planes(paths, channels, reading) for channels in (False, True))
    fused, *sources = luma[0]
    levels = np.rint(fused).astype(np.uint8)
    found = {'luma': luma, 'fused image equalised': [(cv2.equalizeHist(levels), *sources)]}
    if np.ptp(fused) > 0:
        found['fused image stretched to 0…255'] = [(np.rint((fused - fused.min()) * (PEAK / np.ptp(fused))), *sources)]
    found['all images on 16…235'] = [tuple(np.rint(16 + image * (219 / PEAK)) for image in luma[0])]
    if len(colour) > 1:
        found['colour channels, averaged'] = colour
        red, green, blue = (np.array(planes, dtype=float) for planes in colour)
        found['luma, red and blue exchanged'] = [tuple(np.rint(0.114 * red + 0.587 * green + 0.299 * blue))]
    return found


def explain_image(paths, metric, reading):
    """The values of one fused image -> ({(definition, how images are handled): value}, list of what went wrong)."""
    try:
        found = handlings(paths, reading)
    except UserError as error:
        return {}, [str(error)]
    values = {}
    for handling, planes in found.items():
        planes = [tuple(map(Image, plane)) for plane in planes]
        for definition in definitions_of(metric):
            try:
                values[definition.text, handling] = float(np.mean([definition.compute(*plane) for plane in planes]))
            except ValueError as error:
                return {}, [f'{paths[0]}: no {metric}: {error}']
    return values, []


def explain(question, folders, pairing, workers=0, reading=AS_THEY_ARE):
    """Try every definition and handling on the images of some methods, whose means are compared -> Answer.

    The arguments are those of tools.evaluation.scoring.score_methods. Raises UserError as that
    does, and if there is nothing left.
    """
    tasks, problems = match_methods(folders, pairing)
    rows = []
    score = partial(explain_image, metric=question.metric, reading=reading)
    for (method, _), (values, complaints) in zip(tasks, run_in_parallel(score, list(tasks.values()), workers)):
        rows += [(method, *how, value) for how, value in values.items()]
        problems += complaints
    if not rows:
        raise UserError('nothing could be scored:\n' + '\n'.join(problems))
    table = pd.DataFrame(rows, columns=['method', 'definition', 'images', 'value'])
    table = table.groupby(['method', 'definition', 'images'], sort=False)['value'].agg(['size', 'mean']).reset_index()
    table = table.rename(columns={'mean': 'value', 'size': 'number'})
    table['distance'] = (table['value'] - question.value).abs()
    return Answer(table.sort_values('distance', kind='stable').reset_index(drop=True), problems)


def answer_text(question, answer):
    """What was found, and the nearest five, as text."""
    fitting = int((answer.table['distance'] <= question.accuracy * (1 + 1e-9)).sum())
    asked = f'{question.metric}={question.value:g}'
    tried = f'{len(answer.table)} tried: definitions, known mistakes, ways to handle the images, methods'
    head = (f'{asked}: none gives this number ({tried}). It may be of other images, or wrong. The nearest:'
            if not fitting else
            f'{asked}: given by {fitting} of {tried}. The nearest:')
    lines = [f'  {row.value:<10.6g} {row.distance:.2g} off  {row.method}, {row.number} images: {row.definition}; '
             f'{row.images}'
             for row in answer.table.head(max(NEAREST, fitting)).itertuples(index=False)]
    return '\n'.join([head, *lines])

"""Rebuilding training images from the published files that a list names (tools/data/training_list.py).

The column `transformation` says what was done with an infrared and a visible file, in steps divided by `; `:

    frame 6 (from 0) of the clip, gray          both are clips; gray is OpenCV's reading of colour as everywhere here
    right half infrared, left half visible      both are halves of one file
    visible warped onto the infrared grid by x=1.86u+0.02v+69.5, y=-0.01u+1.85v+141.2, 4 px cut off all round
                                                (u, v) in the infrared image shows what (x, y) in the visible one does; the visible image is
                                                blurred first, by half as many pixels as one of the infrared image covers
    resized to 341x256                          by the mean over areas where that makes it smaller, else bicubic
    JPEG 92                                     written in this quality

What else stands there says why it was done, and changes nothing.
"""
import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.files import whole_file
from tools.base.wording import some
from tools.data.images import read_gray
from tools.data.test_images import ALIKE_PAIR, MODALITIES, distances, perceptual_hash
from tools.data.training_list import origins, sha256_of

MISSING, CHANGED = 'missing', 'changed, or of another commit'
THERE = 'another picture is there already, move it away'
NUMBER = r'([-+]?[\d.]+)'
STEPS = {name: re.compile(pattern) for name, pattern in {
    'frame': r'frame (\d+) \(from 0\) of the clip, gray',
    'halves': 'right half infrared, left half visible',
    'warp': f'visible warped onto the infrared grid by x={NUMBER}u{NUMBER}v{NUMBER}, y={NUMBER}u{NUMBER}v{NUMBER}, '
            r'(\d+) px cut off all round',
    'resize': r'resized to (\d+)x(\d+)',
    'quality': r'JPEG (\d+)',
    'said': r'gray|infrared from the first repository, visible from the second|'
            r'\d+x\d+ stretched back to \d+:\d+(?: and enlarged \(bicubic\))?',
}.items()}


def rebuild(entries, sources, folder):
    """Make the files of a list's entries in `folder` from SOURCES/OWNER/REPOSITORY/FILE -> lines that say what could not be made.

    Both images of a pair are written, whole, or neither. What is there already is kept if it is what the list says, and named if not;
    so a second call goes on with what was missing. Prints how many were made. UserError if the list has no sources, or a step that is
    not known, before anything is written.
    """
    if not all(entry.get('repository') for entry in entries):
        raise UserError('the list does not say where its images come from: only a list with sources can be rebuilt')
    steps = [_steps_of(entry) for entry in entries]
    known, clips, problems, made, inexact = {}, Clips(), defaultdict(list), 0, []
    for entry, step in zip(tqdm(entries, 'rebuilding', leave=False, disable=None), steps):
        targets = [Path(folder, entry[modality]) for modality in MODALITIES]
        if all(map(_is_as_listed, targets, _of_both(entry, 'sha256'))):
            continue
        files = [Path(sources, repository, name) for (repository, _), name in zip(origins(entry), _of_both(entry, 'source'))]
        amiss = _amiss(entry, files, known)
        if not amiss:
            data = [_jpeg(image, *step['quality']) for image in _images(files, step, clips)]
            _check_looks(entry, data, files)
            amiss = [(THERE, path) for path, one in zip(targets, data) if path.exists() and path.read_bytes() != one]
        for problem, path in amiss:
            problems[problem].append(path)
        if amiss:
            continue
        for path, one in zip(targets, data):
            with whole_file(path) as temporary:
                temporary.write_bytes(one)
        made += 1
        inexact += [path for path, sha in zip(targets, _of_both(entry, 'sha256')) if not _is_as_listed(path, sha)]
    print(f'{made} of {len(entries)} pairs made in {folder}')
    if inexact:
        print(f'{len(inexact)} files look as they should, but not bit for bit (docs/data.md says why that can be): {some(inexact)}')
    return [_describe(problem, paths, sources) for problem, paths in problems.items()]


class Clips:
    """Frames of video files, as gray images; those of one file are best asked for in their order."""

    def __init__(self):
        self.opened = {}  # path -> (capture, number of the frame that comes next)

    def frame(self, path, number):
        """Frame `number` (from 0) of a video file -> H×W uint8. UserError if there is none."""
        capture, next_one = self.opened.get(path, (None, number + 1))
        if next_one > number:
            capture, next_one = cv2.VideoCapture(str(path)), 0
        for _ in range(number - next_one + 1):
            there, frame = capture.read()
            if not there:
                raise UserError(f'{path} cannot be read as far as frame {number}: copy it again, or use an OpenCV that reads videos')
        self.opened[path] = capture, number + 1
        return cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)


def _steps_of(entry):
    """{name of a step: its numbers} of an entry's transformation."""
    steps = {}
    for text in entry['transformation'].split('; '):
        for name, pattern in STEPS.items():
            match = pattern.fullmatch(text)
            if match:
                steps[name] = [float(number) if '.' in number else int(number) for number in match.groups()]
                break
        else:
            raise UserError(f'it is not known how to do {text!r}, as the list says of {entry["infrared"]}')
    if not {'resize', 'quality'} <= set(steps):
        raise UserError(f'the list does not say in what size and quality {entry["infrared"]} is written')
    return steps


def _images(files, steps, clips):
    """The infrared and the visible image, H×W uint8."""
    if 'frame' in steps:
        ir, vi = (clips.frame(path, *steps['frame']) for path in files)
    else:
        ir, vi = map(read_gray, files)
    if 'halves' in steps:
        middle = ir.shape[1] // 2
        ir, vi = ir[:, middle:], vi[:, :middle]
    if 'warp' in steps:
        *numbers, cut = steps['warp']
        matrix = np.reshape(numbers, (2, 3)).astype(float)  # infrared (u, v) → visible (x, y)
        blurred = cv2.GaussianBlur(vi, (0, 0), 0.5 * np.sqrt(np.linalg.det(matrix[:, :2])))
        vi = cv2.warpAffine(blurred, matrix, ir.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        ir, vi = (image[cut:-cut, cut:-cut] for image in (ir, vi))
    width, height = steps['resize']
    shrinks = width * height < ir.size
    return [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC) for image in (ir, vi)]


def _jpeg(image, quality):
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _of_both(entry, column):
    return [entry[f'{column} {modality}'] for modality in MODALITIES]


def _is_as_listed(path, sha):
    return path.is_file() and sha256_of(path) == sha


def _amiss(entry, files, known):
    """[(problem, path)] of source files that are not as the list says. known: {path: its SHA-256}, of a clip that many frames are from."""
    amiss = []
    for path, origin, wanted in zip(files, origins(entry), _of_both(entry, 'source sha256')):
        if path not in known:
            known[path] = sha256_of(path) if path.is_file() else None
        if known[path] != wanted:
            amiss.append(((CHANGED if known[path] else MISSING, *origin), path))
    return amiss


def _check_looks(entry, data, files):
    """UserError if the files made do not look like those of the list."""
    looks = [perceptual_hash(cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_GRAYSCALE)) for one in data]
    for look, wanted, modality in zip(looks, _of_both(entry, 'hash'), MODALITIES):
        if distances([look], [wanted])[0, 0] > ALIKE_PAIR:
            raise UserError(f'{some(files)} give another picture than {entry[modality]} is: its transformation in the list is wrong')


def _describe(problem, paths, sources):
    files = list(dict.fromkeys(paths))
    if problem is THERE:
        return f'{THERE}, {len(files)} files: {some(files)}'
    how, repository, commit = problem
    return (f'{repository}, {len(files)} files {how}: {some(files)}; they are in\n'
            f'    git clone https://github.com/{repository} {Path(sources, repository)}\n'
            f'    git -C {Path(sources, repository)} checkout {commit}')

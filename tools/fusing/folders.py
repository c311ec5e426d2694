"""Fusing folders of image files: which test sets there are, where results go, what to do with those that fail."""
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np
from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.mpi import COUNT, FIRST, NUMBER
from tools.base.threads import in_order
from tools.base.wording import counted
from tools.data.alignment import EACH, Align, read_align
from tools.data.displacement import align_text, displacement_doubts, find_align
from tools.data.doubts import value_doubts
from tools.data.fused_folders import note_sources, noted_sources, set_name
from tools.data.images import read_gray, read_image, write_image
from tools.data.layouts import source_folders, what_is_below
from tools.data.pairing import Pair, pair_folders
from tools.data.reading import AS_THEY_ARE, Reading
from tools.fusing.fuser import Fuser, is_constant, size_text
from tools.fusing.pictures import Row, feature_mosaic, write_contact_sheets
from tools.fusing.sequences import make_pictures, unscaled_file, write_unscaled
from tools.runtime.processes import by_first, gather

PUBLISHED = 'KAIST', 'MSRS', 'LLVIP', 'M3FD', 'FMB', 'RoadScene', 'TNO'  # rows of a table in docs/data.md
ALL_SETS = 'all'
LOSSLESS = ('.png', '.bmp', '.tif', '.tiff')
FEATURES = {'ir_self': 'irself_', 'vi_self': 'viself_', 'cross': 'cross_'}  # CAM's map: how its pictures' names begin
PAIRS_AHEAD = 2  # read before they are fused, and fused before they are written; bounds the memory


class TestSet(NamedTuple):
    """A name for the results, and two folders of images, or two files."""
    name: str
    ir: Path
    vi: Path


class Options(NamedTuple):
    """How test sets are fused.

    prefix: of the fused files' names. reading: how pairs are read. color: keep the visible images' colour; otherwise
    both are read as gray. overwrite: replace results that exist.
    features: write feature pictures, too. contact_sheet: write infrared | visible | fused as one picture.
    align: move infrared images, 'folder', 'affine' or 'each' (tools/data/displacement.py). sequence: frames of a video,
    with one range.
    """
    prefix: str
    reading: Reading = AS_THEY_ARE
    color: bool = False
    overwrite: bool = False
    features: bool = False
    contact_sheet: bool = False
    align: Optional[str] = None
    sequence: bool = False


def find_test_sets(names, images, ir=None, vi=None, reading=AS_THEY_ARE) -> List[TestSet]:
    """The test sets to fuse: `ir` and `vi` (two folders or two files) if given, else those called `names` in `images`.

    A test set is a folder with one of infrared and one of visible images in it, at any depth
    (tools/data/layouts.py), or one that holds both; 'all' means all of them. Raises UserError if one does not exist,
    or if it is not clear which folders it means.
    """
    if ir or vi:
        if not (ir and vi):
            raise UserError('give both ir and vi, or neither')
        ir, vi = Path(ir), Path(vi)
        return [TestSet(_name_of(ir, vi), ir, vi)]
    there = sorted(path.name for path in Path(images).glob('*') if path.is_dir())
    if ALL_SETS in names:
        names = [name for name in there if source_folders(Path(images, name), reading)] or names
    sets = []
    for name in dict.fromkeys(set_name(text, images) for text in names):
        folder = Path(images, name)
        if not folder.is_dir():
            raise UserError(f'test set {name} is not in {images} (there: {", ".join(there) or "none"}): put its images '
                            f'into {folder / "ir"} and {folder / "vi"}, or give ir and vi{_where_to_get(name)}')
        folders = source_folders(folder, reading)
        if not folders:
            raise UserError(f'test set {name}: names do not tell which images in {folder} are infrared and which '
                            f'visible, as ir/ and vi/ would; there: {what_is_below(folder)}. Give ir and vi')
        sets.append(TestSet(name.replace('/', '_'), *folders))
    return sets


def _where_to_get(name):
    """Where the docs say it, for a test set whose name has that of a row there."""
    rows = [row for row in PUBLISHED if row.lower() in name.lower()]
    return f'; docs/data.md, "Where to get each set", has a row for {rows[0]}' if rows else ''


def _name_of(ir, vi):
    """For SET/ir and SET/vi: SET; for others the name of the infrared folder or file."""
    ir, vi = ir.resolve(), vi.resolve()
    if ir.is_dir():
        return ir.parent.name if ir != vi and ir.parent == vi.parent and ir.parent.name else ir.name
    return ir.stem


def fuse_test_sets(fuser: Fuser, test_sets: List[TestSet], output, out, options: Options) -> int:
    """Fuse test sets, each into a folder `output`/crossfuse_test/SET_MODEL, or one into the folder `out` if given.

    Prints what is done, and what was left out or is doubtful. Returns the exit code: 1 if there was any of that.
    Raises UserError if results cannot be written.
    """
    if out is not None and len(test_sets) > 1:
        raise UserError('out is for one test set; with several, output is the folder for all their results')
    problems = []
    for test_set in test_sets:
        # Evaluation expects one fused image for each pair in a folder, so colour results have a folder of their own.
        name = f'{test_set.name}_{fuser.model.name}' + ('_color' if options.color else '')
        folder = Path(out) if out is not None else Path(output, 'crossfuse_test', name)
        try:
            pairing = pair_folders(test_set.ir, test_set.vi, options.reading)
        except UserError as error:
            problems.append(str(error))
            continue
        print(f'{test_set.name}: {pairing.describe()}')
        for doubt in value_doubts(*pairing.files(), options.reading):
            print(doubt)
        try:
            reading, pairs = aligned_pairs(pairing.pairs, folder, options, problems)
        except UserError as error:
            problems.append(f'{test_set.name}: {error}')
            continue
        noted = {'model': fuser.model.name, 'color': options.color, **({'sequence': True} if options.sequence else {})}
        by_first(note_sources, folder, test_set.ir, test_set.vi, reading, noted)
        problems += fuse_pairs(fuser, pairs, folder, options._replace(reading=reading))
    if problems and FIRST:
        print('\n  '.join([f'\nproblems ({len(problems)}):'] + problems), file=sys.stderr)
    return 1 if problems else 0


def aligned_pairs(pairs: List[Pair], folder: Path, options: Options, problems: List[str]):
    """How the pairs are read, with what moves infrared images; and the pairs left, the others among `problems`.

    Says so. Without `options.align` nothing is moved, and displaced images are doubted. What a
    folder of results has noted stays.
    """
    files = [(pair.ir, pair.vi) for pair in pairs]
    if not options.align:
        for doubt in by_first(displacement_doubts, files, options.reading):
            print(doubt)
        return options.reading, pairs
    noted = noted_sources(folder)
    if noted and isinstance(noted.reading.align, Align) and options.align != EACH:
        print(f'infrared is {noted.reading.align.text()}, as noted in {folder}')
        return replace(options.reading, align=noted.reading.align), pairs
    align, left_out = by_first(_found_align, files, options)
    problems += [f'{pair.name} left out: {left_out[pair.ir.name]}' for pair in pairs if pair.ir.name in left_out]
    align = read_align(align)
    print(align_text(align))
    return replace(options.reading, align=align), [pair for pair in pairs if pair.ir.name not in left_out]


def _found_align(files, options):
    """What moves infrared images, as JSON holds it, and {name of an infrared file: why it is left out}."""
    align, left_out = find_align(files, options.align, options.reading)
    noted = align.noted() if isinstance(align, Align) else {ir.name: one.noted() for ir, one in align.items()}
    return noted, {ir.name: why for (ir, _), why in left_out.items()}


def fuse_pairs(fuser: Fuser, pairs: List[Pair], folder: Path, options: Options) -> List[str]:
    """Fuse pairs of files into `folder`, and return what went wrong, a line each; the other pairs are done anyway.

    Several processes (tools/runtime/processes.py) share the pairs, and each returns what went wrong in all.
    Reading, fusing and writing overlap.
    Raises UserError if a result cannot be written.
    """
    files = {pair: result_files(pair, folder, options) for pair in pairs}
    remaining = [pair for pair, wanted in zip(pairs, by_first(_wanted, files, options)) if wanted][NUMBER::COUNT]
    fuse = fuser.unscaled if options.sequence else fuser.fuse
    problems, seconds, started = [], [], time.perf_counter()

    def fused_pairs():
        reading = in_order(partial(_try_to_read, options=options), remaining, ahead=PAIRS_AHEAD)
        for pair, images, found in tqdm(reading, folder.name, len(remaining), unit='image', disable=not FIRST):
            problems.extend(found)
            if images is None:
                continue
            try:
                began = time.perf_counter()
                fused = fuse(*images)
                seconds.append(time.perf_counter() - began)
            except UserError as error:
                problems.append(_left_out(pair, error))
                continue
            if fused.doubt:
                problems.append(f'{pair.name} is doubtful: {fused.doubt}')
            pictures = {'out': fused.image}
            if options.features:
                pictures.update({name: feature_mosaic(maps) for name, maps in fused.maps.items()})
            yield pictures, files[pair], options.overwrite

    for _ in in_order(lambda results: write_results(*results), fused_pairs(), ahead=PAIRS_AHEAD):
        pass
    problems, seconds = (sum(lists, []) for lists in zip(*gather([problems, seconds])))
    if seconds:
        print(_summary(seconds, time.perf_counter() - started, folder))
    if options.sequence:
        pictures = {pair: files[pair]['out'] for pair in pairs}
        make_pictures(folder, pictures, lambda pair: _read(options.color, pair.vi), options.overwrite)
    if options.contact_sheet and FIRST:
        rows = [Row(pair.ir, pair.vi, files[pair]['out'], options.reading) for pair in pairs
                if files[pair]['out'].exists()]
        for path in write_contact_sheets(folder / 'contact_sheet', rows):
            print(f'contact sheet: {path}')
    return problems


def _wanted(files, options):
    """For each pair whether it is to be fused: not if its results are there, or what the
    pictures of a sequence are made of."""
    wanted = [options.overwrite or not all(path.exists() for path in of_pair.values()) for of_pair in files.values()]
    if not all(wanted):
        print(f'{counted(wanted.count(False), "result")} kept from an earlier run (--overwrite replaces them)')
    return [one and (options.overwrite or not options.sequence or not unscaled_file(of_pair['out']).exists())
            for one, of_pair in zip(wanted, files.values())]


def result_files(pair: Pair, folder: Path, options: Options) -> Dict[str, Path]:
    """Where the results of a pair go: {'out': fused image}, with features also 'ir_self', 'vi_self' and 'cross'."""
    # A lossy format would add its own errors to the fused values.
    extension = pair.ir.suffix if pair.ir.suffix.lower() in LOSSLESS else '.png'
    name = pair.ir.stem + extension
    files = {'out': folder / f'{options.prefix}{name}'}
    if options.features:
        files.update({key: folder / 'features' / f'{beginning}{name}' for key, beginning in FEATURES.items()})
    return files


def read_pair(pair: Pair, options: Options) -> Tuple[np.ndarray, np.ndarray, List[str]]:
    """The infrared and visible image of a pair, and what is doubtful about them. UserError if they cannot be fused."""
    ir, vi = options.reading.infrared(pair.ir, partial(_read, False)), _read(options.color, pair.vi)
    if ir.shape[:2] != vi.shape[:2] and not options.reading.resize:
        raise UserError(f'{pair.ir} is {size_text(ir)}, {pair.vi} is {size_text(vi)} '
                        '(--resize makes the infrared image fit the visible one)')
    doubts = [f'{path} is {"all black" if image.max() == 0 else "of a single value"}; fused nevertheless'
              for path, image in ((pair.ir, ir), (pair.vi, vi)) if is_constant(image)]
    return options.reading.moved(ir, vi, pair.ir), vi, doubts


def _try_to_read(pair, options):
    """The pair, its infrared and visible image or None, and what is doubtful or why they were left out."""
    try:
        ir, vi, doubts = read_pair(pair, options)
        return pair, (ir, vi), doubts
    except UserError as error:
        return pair, None, [_left_out(pair, error)]


def _left_out(pair, error):
    return f'{pair.name} left out: {error}'


def write_results(pictures: Dict[str, np.ndarray], files: Dict[str, Path], overwrite: bool):
    """Write each picture to its file; where one exists, only if `overwrite`."""
    for name, picture in pictures.items():
        if picture.dtype == np.float32:  # a frame that the others' range is still to be found for
            write_unscaled(unscaled_file(files[name]), picture)
        elif overwrite or not files[name].exists():
            write_image(files[name], picture)


def _read(color, path, value_range=None):
    """An image with its colour if `color`, else gray as the original reads it, but with all 16 bits where there are."""
    image = read_image(path, value_range)
    return image if color or image.dtype == np.uint16 and image.ndim == 2 else read_gray(path, value_range)


def _summary(seconds, elapsed, folder):
    mean = np.mean(seconds[1:] or seconds)
    note = ' (without the first image, for which Jittor may compile)' if len(seconds) > 1 else ''
    return (f'{counted(len(seconds), "image")} fused into {folder}: {elapsed / len(seconds):.2f} s per image, '
            f'including reading and writing, {mean:.2f} s in the network{note}')

"""Drawn scenes as files: a database to train on, and test sets."""
from pathlib import Path
from typing import Tuple

from tqdm import tqdm

from tools.base.errors import UserError
from tools.data.images import luma, write_image
from tools.scenes.places import make_scene

SEQUENCE_LENGTH, SEQUENCES_PER_SET = 20, 2  # a database's folders: set00/V000, set00/V001, set01/V000, …
SEEDS_PER_RUN, GRAY_TEST_SEEDS, COLOUR_TEST_SEEDS = 1_000_000, 800_000, 900_000  # so that no two scenes coincide
TEST_SIZES = (256, 320), (288, 360), (235, 317)


def write_database(folder, scenes: int, size: Tuple[int, int], seed: int) -> None:
    """Write `scenes` pairs of (height, width) to train on, in KAIST's layout: `set00/V000/{lwir,visible}/I00000.jpg`.

    Writing the same again is fine; UserError if the folder holds other files, which would be trained on too.
    """
    files = {}
    for index in range(scenes):
        sequence, frame = divmod(index, SEQUENCE_LENGTH)
        part = f'set{sequence // SEQUENCES_PER_SET:02d}/V{sequence % SEQUENCES_PER_SET:03d}'
        files[f'{part}/lwir/I{frame:05d}.jpg', f'{part}/visible/I{frame:05d}.jpg'] = SEEDS_PER_RUN * seed + index, *size
    _write(Path(folder), files)


def write_test_folders(folder, pairs: int, seed: int) -> Tuple[Path, Path]:
    """Write two test sets of `pairs` pairs each, images of three sizes; returns their folders.

    `scenes_gray`: ir/IR1.png with vi/VIS1.png. `scenes_color`: ir/00001.png with vi/00001.png. UserError as for `write_database`.
    """
    gray, colour, first = Path(folder) / 'scenes_gray', Path(folder) / 'scenes_color', SEEDS_PER_RUN * seed
    numbers = range(1, pairs + 1)
    _write(gray, {(f'ir/IR{n}.png', f'vi/VIS{n}.png'): (first + GRAY_TEST_SEEDS + n, *TEST_SIZES[n % 3]) for n in numbers}, gray=True)
    _write(colour, {(f'ir/{n:05d}.png', f'vi/{n:05d}.png'): (first + COLOUR_TEST_SEEDS + n, *TEST_SIZES[n % 3]) for n in numbers})
    return gray, colour


def _write(folder, files, gray=False):
    """Make and write scenes: `files` maps (infrared, visible) paths in `folder` to (seed, height, width)."""
    ours = {folder / name for pair in files for name in pair}
    others = [path for path in folder.rglob('*') if path.is_file() and not path.name.startswith('.') and path not in ours]
    if others:
        raise UserError(f'{folder} holds other files, such as {min(others)}: choose another folder, or delete them')
    for (ir, vi), (seed, height, width) in tqdm(files.items(), desc=folder.name, unit='scene', delay=1):  # no bar before a UserError
        infrared, visible = make_scene(seed, height, width)
        write_image(folder / ir, infrared)
        write_image(folder / vi, luma(visible) if gray else visible)

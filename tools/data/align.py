"""Move displaced infrared images onto the visible ones, and write them, for use elsewhere. Fusing and training can do so by themselves.

python -m tools.data.align --ir DIR --vi DIR --out DIR                  one transform for all pairs
python -m tools.data.align --ir DIR --vi DIR --out DIR --align each     each pair by itself

The images are written under their own names, with align.json, which says how they were moved.
"""
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.data.alignment import EACH, FOLDER, KINDS, aligned
from tools.data.displacement import align_text, find_align
from tools.data.images import SIXTEEN_BIT_EXTENSIONS, fitted, read_image, write_image
from tools.data.pairing import pair_folders
from tools.data.reading import Reading

LOSSLESS = *SIXTEEN_BIT_EXTENSIONS, '.bmp'


@dataclass
class Args:
    ir: str = setting('', 'folder of infrared images, or one file')
    vi: str = setting('', 'folder of visible images, or one file', aliases=('vis',))
    ir_name: Optional[str] = setting(None, 'how infrared files are named if words do not tell, as {}_nir; pairs have {} in common')
    vi_name: Optional[str] = setting(None, 'the same for visible files, as {}_rgb', aliases=('vis_name',))
    align: str = setting(FOLDER, 'one transform for all pairs; affine, with stretch and shear, too; or each pair by itself', choices=KINDS)
    out: str = setting('', 'the folder to write into')


def main(arguments=None):
    settings = parse_settings(Args, __doc__, arguments)
    if not (settings.ir and settings.vi and settings.out):
        raise UserError('give the folders of the images and one for the results: --ir DIR --vi DIR --out DIR')
    if Path(settings.out).resolve() in (Path(settings.ir).resolve(), Path(settings.vi).resolve()):
        raise UserError(f'{settings.out} holds the images themselves: give another folder as out')
    pairing = pair_folders(settings.ir, settings.vi, Reading(settings.ir_name, settings.vi_name))
    print(pairing.describe())
    pairs = {(pair.ir, pair.vi): pair for pair in pairing.pairs}
    align, left_out = find_align(list(pairs), settings.align)
    print(align_text(align))
    problems = [f'{pairs[files].name} left out: {why}' for files, why in left_out.items()]
    for files in tqdm([files for files in pairs if files not in left_out], Path(settings.out).name, unit='image'):
        try:
            write_aligned(*files, align[files[0]] if settings.align == EACH else align, Path(settings.out))
        except UserError as error:
            problems.append(f'{pairs[files].name} left out: {error}')
    noted = {ir.name: one.noted() for ir, one in align.items()} if settings.align == EACH else align.noted()
    write_text(Path(settings.out, 'align.json'), json.dumps(noted, indent=2) + '\n')
    if problems:
        print('\n  '.join([f'\nproblems ({len(problems)}):', *problems]), file=sys.stderr)
    return 1 if problems else 0


def write_aligned(ir, vi, align, folder):
    """Write an infrared image after it is moved, in its own depth. UserError if one cannot be read or written."""
    visible = read_image(vi)
    image = aligned(fitted(read_image(ir), visible.shape), visible, align)
    extension = ir.suffix if ir.suffix.lower() in LOSSLESS else '.png'
    write_image(folder / f'{ir.stem}{extension}', image)


if __name__ == '__main__':
    run_script(main)

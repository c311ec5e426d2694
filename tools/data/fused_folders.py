"""Which fused folders lie under `output/`, and where their source images are."""
import json
import os
from pathlib import Path
from typing import List, NamedTuple, Optional

from tools.data.layouts import source_folders
from tools.data.names import Patterns, patterns_of
from tools.errors import UserError
from tools.images import IMAGE_EXTENSIONS

METRICS_FOLDER = 'metrics'  # in `output`: the results of evaluation
SOURCES_FILE = 'sources.json'  # {"ir": folder, "vi": folder, …}, written by the fusing scripts beside the fused images


class Sources(NamedTuple):
    """The folders that the images of a fused folder were made from."""
    ir: Path
    vis: Path
    patterns: Optional[Patterns] = None  # by which their names were paired, if asked for
    resize: bool = False                 # whether infrared images were made to fit the visible ones


def find_fused_folders(output, images) -> List[Path]:
    """All folders below `output` that hold fused images of known sources, the newest first."""
    found = []
    for folder, subfolders, files in os.walk(output):
        if Path(folder) == Path(output) and METRICS_FOLDER in subfolders:
            subfolders.remove(METRICS_FOLDER)  # figures, not fused images
        holds_images = any(Path(name).suffix.lower() in IMAGE_EXTENSIONS for name in files)
        if holds_images and sources_of(folder, images):
            found.append(Path(folder))
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)


def set_of_folder(folder, images):
    """The test set, a folder in `images` as `TNO` or `MSRS/test`, whose name a folder has, as `TNO`, `TNO_anything`, `MSRS_test_anything`.

    None if none.
    """
    name = Path(folder).name
    sets = [path.relative_to(images).as_posix() for depth in ('*', '*/*') for path in Path(images).glob(depth) if path.is_dir()]
    fitting = [one for one in sets if f'{name}_'.startswith(one.replace('/', '_') + '_')]
    return max(fitting, key=len, default=None)


def sources_of(folder, images):
    """Where the sources of a fused folder are -> Sources, or None if unknown.

    Its sources.json tells; without one, its name does, by the test sets in `images`.
    Raises UserError for a sources.json that cannot be understood.
    """
    noted = noted_sources(folder)
    if noted:
        return noted
    test_set = set_of_folder(folder, images)
    try:
        folders = source_folders(Path(images, test_set)) if test_set else None
    except UserError:  # several: which of them is not known either
        folders = None
    return Sources(*folders) if folders else None


def noted_sources(folder):
    """What the sources.json of a fused folder says -> Sources, None without one. UserError if it cannot be understood."""
    path = Path(folder, SOURCES_FILE)
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            return Sources(Path(content['ir']), Path(content.get('vi') or content['vis']),
                           patterns_of(content.get('ir_name'), content.get('vi_name')), bool(content.get('resize')))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f'{path} should hold {{"ir": folder, "vi": folder}}: {error}') from error
    return None

"""Which fused folders lie under `output/`, and where their source images are."""
import json
import os
from pathlib import Path
from typing import List, NamedTuple

from tools.data.pairing import source_folders
from tools.errors import UserError
from tools.images import IMAGE_EXTENSIONS

METRICS_FOLDER = 'metrics'  # in `output`: the results of evaluation
SOURCES_FILE = 'sources.json'  # {"ir": folder, "vi": folder}, written by the fusing scripts beside the fused images


class Sources(NamedTuple):
    """The folders that the images of a fused folder were made from."""
    ir: Path
    vis: Path


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
    """The test set, a folder in `images`, whose name a folder has, perhaps with `_anything` after it; None if none."""
    name = Path(folder).name
    sets = [path.name for path in Path(images).glob('*') if path.is_dir()]
    fitting = [one for one in sets if name == one or name.startswith(one + '_')]
    return max(fitting, key=len, default=None)


def sources_of(folder, images):
    """Where the sources of a fused folder are -> Sources, or None if unknown.

    Its sources.json tells; without one, its name does, by the test sets `images/<set>/{ir,vi}`.
    Raises UserError for a sources.json that cannot be understood.
    """
    path = Path(folder, SOURCES_FILE)
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            return Sources(Path(content['ir']), Path(content.get('vi') or content['vis']))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f'{path} should hold {{"ir": folder, "vi": folder}}: {error}') from error
    test_set = set_of_folder(folder, images)
    folders = source_folders(Path(images, test_set)) if test_set else None
    return Sources(*folders) if folders else None

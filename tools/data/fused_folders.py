"""Which fused folders lie under `output/`, and where their source images are."""
import json
import os
from pathlib import Path
from typing import List, NamedTuple, Tuple

from tools.base.errors import UserError
from tools.base.files import found_from, write_text
from tools.data.images import IMAGE_EXTENSIONS
from tools.data.layouts import source_folders
from tools.data.pairing import pair_folders
from tools.data.reading import AS_THEY_ARE, Reading, read_reading

METRICS_FOLDER = 'metrics'  # in `output`: the results of evaluation
# Beside the fused images, by the fusing scripts: {"ir": folder, "vi": folder, …}, or lists of single files, with where they start from
# if they are relative, and with the settings.
SOURCES_FILE, WORKING_FOLDER = 'sources.json', 'working_folder'


class Sources(NamedTuple):
    """What the images of a fused folder were made from."""
    pairs: Tuple[Tuple[Path, Path], ...]  # the infrared and the visible folder, or pairs of single files
    reading: Reading = AS_THEY_ARE

    def pairing(self):
        """The pairs of files -> tools.data.pairing.Pairing. UserError as from `pair_folders`."""
        first, *others = [pair_folders(ir, vi, self.reading) for ir, vi in self.pairs]
        for other in others:
            first = first._replace(rule='files as given', pairs=first.pairs + other.pairs, notes=first.notes + other.notes)
        return first

    def same(self):
        """What two have in common that are of the same images, however their paths are spelled."""
        return {(os.path.realpath(ir), os.path.realpath(vi)) for ir, vi in self.pairs}, self.reading.names

    def describe(self):
        return ', '.join(f'{ir} and {vi}' for ir, vi in self.pairs)


def find_fused_folders(output, images, test_set=None) -> List[Path]:
    """All folders below `output` that hold fused images of known sources, the newest first; of a test set, if given."""
    found = []
    for folder, subfolders, files in os.walk(output):
        if Path(folder) == Path(output) and METRICS_FOLDER in subfolders:
            subfolders.remove(METRICS_FOLDER)  # figures, not fused images
        holds_images = any(Path(name).suffix.lower() in IMAGE_EXTENSIONS for name in files)
        of_set = not test_set or set_of_folder(folder, images) == set_name(test_set, images)
        if holds_images and of_set and sources_of(folder, images):
            found.append(Path(folder))
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)


def set_name(text, images):
    """The name of a test set in `images` that is given as `NAME`, `NAME/` or, as shells complete it, `images/NAME`."""
    folder = Path(text) if Path(text).is_dir() and not Path(images, text).is_dir() else Path(images, text)
    name = Path(os.path.relpath(folder, images)).as_posix()
    return text if name.startswith('.') else name


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
    return Sources((folders,)) if folders else None


def noted_sources(folder):
    """What the sources.json of a fused folder says -> Sources, None without one. UserError if it cannot be understood."""
    path = Path(folder, SOURCES_FILE)
    return _read_note(path)[0] if path.is_file() else None


def note_sources(folder, ir, vi, reading, settings):
    """Write down what a folder's images are made from, two folders or two files: files are added to those noted before.

    settings: {name: value}, what else the images depend on. UserError if the folder holds results of others.
    """
    path, files = Path(folder, SOURCES_FILE), ir.is_file()
    sources, others = Sources(((ir, vi),), reading), []
    if path.exists():
        noted, noted_files, noted_settings = _read_note(path)
        if files and noted_files:  # results are called after infrared files, so only one of the same name matters
            others = [pair for pair in noted.pairs if pair[0].stem != ir.stem]
        compared = noted._replace(pairs=tuple(pair for pair in noted.pairs if pair not in others))
        reading = reading.together_with(noted.reading)
        if reading is None or settings != noted_settings or compared.pairs and compared.same() != sources.same():
            raise UserError(f'{folder} holds results of other images or settings, says {path}: choose another folder, or delete it')
    paths = [[str(pair[side]) for pair in (*others, (ir, vi))] for side in range(2)]
    content = dict(zip(('ir', 'vi'), paths if files else (paths[0][0], paths[1][0])))
    content.update({**reading.noted(), WORKING_FOLDER: os.getcwd(), **settings})
    write_text(path, json.dumps(content, indent=2) + '\n')


def _read_note(path):
    """(Sources, whether they are single files, the other settings) from a sources.json. UserError if it cannot be understood."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        ir, vi = content.pop('ir'), content.pop('vi', None) or content.pop('vis')
        files, start = isinstance(ir, list), content.pop(WORKING_FOLDER, os.getcwd())
        spelled = zip(ir, vi) if files else [(ir, vi)]
        pairs = tuple((Path(found_from(start, one)), Path(found_from(start, other))) for one, other in spelled)
        if not pairs:
            raise ValueError('no images')
        return Sources(pairs, read_reading(content)), files, content
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{path} should hold {{"ir": folder, "vi": folder}}: {error}') from error

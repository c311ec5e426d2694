"""Where infrared and visible images lie below a folder, however it is laid out: words in names tell.

    database/set00/V000/{lwir,visible}/I00000.jpg       KAIST
    MSRS/train/{ir,vi}/00001D.png
    LLVIP/{infrared,visible}/train/010001.jpg
    RoadScene/{cropinfrared,crop_LR_visible}/FLIR_00006.jpg
    FLIR/JPEGImages/FLIR_00002_{PreviewData,RGB}.jpeg   both in one folder

A folder in which images pair (tools/data/pairing.py) holds both modalities. Any other is of the modality that the last
part of its path with a word tells. Two such folders belong together if their paths differ in such words only, or if
around the word one has nothing but what the other has too (thermal_8_bit beside RGB).
"""
import os
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

from tools.base.errors import UserError
from tools.base.wording import counted, some
from tools.data.images import describe_others, image_size, is_image
from tools.data.names import folded, make_partners, modality_of, read_name
from tools.data.pairing import BY_A_WORD, find_partners
from tools.data.reading import AS_THEY_ARE

OTHER = {'ir': 'vi', 'vi': 'ir'}


class Folder(NamedTuple):
    """A folder, or what is of one modality in it."""
    path: Path
    images: List[Path]  # in the order of their names
    others: List[str]   # names of files that are no images
    parts: Tuple[str, ...]  # of its whole path
    top: int                # the first of them whose words count: that of the folder above the root

    @property
    def told(self):
        """(the modality that its path tells, or None; the number of the part that tells it)."""
        modality, index = modality_of(self.parts[self.top:])
        return modality, self.top + index

    @property
    def label(self):
        """The part of its path that tells its modality, and what is below it."""
        modality, index = self.told
        return '/'.join(self.parts[index:]) if modality else self.path.name


class Sequence(NamedTuple):
    """Images that belong together: folders of each modality, several or none, or what a single folder holds of each."""
    ir: List[Folder]
    vi: List[Folder]


class Layout(NamedTuple):
    sequences: List[Sequence]
    unused: List[Folder]  # with the images whose modality no word tells, and other files


def find_layout(roots, reading=AS_THEY_ARE) -> Layout:
    """What lies below some folders: in their order, and by name.

    Hidden files and folders are passed over, links are followed. UserError if a folder is missing or cannot be read.
    """
    folders = _walk(roots)
    inside = {path: _pairs_inside(folder, reading) for path, folder in folders.items()}
    modality = _told_by_folders(folders, inside)
    partners = defaultdict(set)
    for ir, vi in _partner_folders([folder for path, folder in folders.items() if not inside[path]], modality):
        modality.update({ir: 'ir', vi: 'vi'})
        partners[ir].add(vi)
        partners[vi].add(ir)

    sequences, unused, done = [], [], set()
    for path, folder in folders.items():
        if path in done:
            continue
        if path in modality:
            together = [path]  # and what belongs to it, directly or by way of others
            for one in together:
                together += sorted(partners[one] - set(together))
            done.update(together)
            sequences.append(Sequence(*([folders[one] for one in together if modality[one] == of] for of in OTHER)))
            unused += [folders[one]._replace(images=[]) for one in together]
        else:
            parts = _parts_inside(folder, inside[path])
            sequences.append(Sequence(*([part] if part.images else [] for part in parts)))
            used = {image for part in parts for image in part.images}
            unused.append(folder._replace(images=[image for image in folder.images if image not in used]))
    return Layout([one for one in sequences if any(part.images for part in [*one.ir, *one.vi])],
                  [folder for folder in unused if folder.images or folder.others])


def layout_of(ir=None, vi=None, reading=AS_THEY_ARE) -> Layout:
    """What lies below a folder of infrared and one of visible images, in folders of equal names; one may be None."""
    if ir and vi and os.path.realpath(ir) == os.path.realpath(vi):
        return find_layout([ir], reading)
    below = [{folded(str(path.relative_to(root))): folder for path, folder in _walk([root] if root else []).items()}
             for root in (ir, vi)]
    names = {**below[0], **below[1]}
    return Layout([Sequence(*([found[name]] if name in found else [] for found in below)) for name in names],
                  [folder._replace(images=[]) for found in below for folder in found.values() if folder.others])


def pair_of(sequence, reading=AS_THEY_ARE) -> Optional[Tuple[Folder, Folder]]:
    """The infrared and the visible folder of a sequence; None if it has one modality only.

    Of several, those whose images have one size (RoadScene's crop_LR_visible); UserError if that leaves not one.
    """
    choices = list(product(sequence.ir, sequence.vi))
    if len(choices) > 1:
        choices = [pair for pair in choices if _of_one_size(*pair, reading)]
        if len(choices) != 1:
            ir, vi = (', '.join(str(folder.path) for folder in folders) for folders in sequence)
            raise UserError(f'it is not clear which folders belong together: infrared {ir}; visible {vi}. '
                            'Give one of each as ir and vi')
    return choices[0] if choices else None


def source_folders(test_set, reading=AS_THEY_ARE) -> Optional[Tuple[Path, Path]]:
    """The folders of infrared and of visible images in a test set, directly in it or at any depth; None if there are none.

    Twice the same where one folder holds both. UserError if there are several.
    """
    found = filter(None, (pair_of(sequence, reading) for sequence in find_layout([test_set], reading).sequences))
    pairs = [(ir.path, vi.path) for ir, vi in found]
    pairs = [pair for pair in pairs if pair[0].parent == Path(test_set)] or pairs
    if len(pairs) > 1:
        raise UserError(f'{test_set} holds several pairs of folders: ' + '; '.join(f'{ir} and {vi}' for ir, vi in pairs)
                        + '. Take a folder in it that holds one of them, or give one as ir and vi')
    return pairs[0] if pairs else None


def what_is_below(root) -> str:
    """The folders below one that hold files, and how many, as text."""
    texts = []
    for path, folder in _walk([root]).items():
        images = counted(len(folder.images), 'image') if folder.images else ''
        counts = ', '.join(filter(None, [images, describe_others(folder.others)]))
        texts += [f'{path.relative_to(root).as_posix()}/ with {counts}'] * bool(counts)
    return some(texts, '; ') or 'no files'


def _walk(roots):
    """{path: Folder} of all folders below some, themselves first."""
    def refuse(error):
        raise UserError(f'cannot read the folder {error.filename}: {error.strerror}')

    folders, visited = {}, set()
    for root in roots:
        if not Path(root).is_dir():
            raise UserError(f'there is no folder {root}')
        for path, subfolders, files in os.walk(root, onerror=refuse, followlinks=True):
            if os.path.realpath(path) in visited:  # roots that overlap, links that go in a circle
                subfolders.clear()
                continue
            visited.add(os.path.realpath(path))
            subfolders[:] = sorted(name for name in subfolders if not name.startswith('.'))
            path, names = Path(path), [name for name in sorted(files) if not name.startswith('.')]
            folders[path] = Folder(path, [path / name for name in names if is_image(name)],
                                   [name for name in names if not is_image(name)], _parts(path), len(_parts(root)) - 2)
    return folders


def _parts(path):
    return Path(os.path.abspath(path)).parts


def _pairs_inside(folder, reading):
    """The partners among the images of one folder, none where the folder's name tells another thing."""
    partners = find_partners(folder.images, folder.images, one_folder=True, reading=reading)
    surely = any(why != BY_A_WORD for why in partners.values()) or not folder.told[0]
    return partners if surely else {}


def _parts_inside(folder, partners):
    """What of a folder is infrared and what is visible: those in pairs, and beside pairs others if their names say so.

    Without any pair names say too little: results fused from IR1 are called IR1, too.
    """
    of_pairs = dict(zip(OTHER, map(set, zip(*partners))))
    lone = [image for image in folder.images if not any(image in files for files in of_pairs.values())]
    for of, files in of_pairs.items():
        files.update(image for image in lone if modality_of([image.stem])[0] == of)
    return [folder._replace(images=[image for image in folder.images if image in of_pairs.get(of, ())]) for of in OTHER]


def _told_by_folders(folders, inside):
    """{path: its modality}, of folders whose path tells it, without pairs inside.

    A word does not count in the name of a folder with images of both below it, as thermal_project/{ir,vi,labels}.
    """
    told, holds = {}, set()  # what is below the beginning of a path
    for path, folder in folders.items():
        modality, index = folder.told
        if inside[path]:
            holds.update((folder.parts[:end], of) for end in range(len(folder.parts) + 1) for of in OTHER)
        elif modality:
            told[path] = folder.parts[:index + 1], modality
            holds.update((folder.parts[:end], modality) for end in range(index + 1))
    return {path: modality for path, (word, modality) in told.items() if (word, OTHER[modality]) not in holds}


def _partner_folders(folders, told):
    """All pairs (infrared, visible) of paths of folders that may belong together. told: from `_told_by_folders`."""
    names = {folder.path: [read_name(part) for part in folder.parts] for folder in folders}
    words = {path: [word for name in of_path for word in name.words] for path, of_path in names.items()}
    alike, nearly_alike = defaultdict(list), defaultdict(list)
    for path, of_path in names.items():
        alike[tuple(name.key for name in of_path)].append(path)
    found = [pair for group in alike.values() for pair in product(group, group) if make_partners(*map(words.get, pair))]

    done, around = {path for pair in found for path in pair}, {}
    for folder in folders:
        if folder.path in told and folder.path not in done:
            keys, index = [name.key for name in names[folder.path]], folder.told[1]
            around[folder.path] = set(names[folder.path][index].bare)
            nearly_alike[(*keys[:index], None, *keys[index + 1:])].append(folder.path)
    return found + [(ir, vi) for group in nearly_alike.values() for ir, vi in product(group, group)
                    if (told[ir], told[vi]) == ('ir', 'vi') and (around[ir] <= around[vi] or around[vi] <= around[ir])]


def _of_one_size(ir, vi, reading):
    for pair in find_partners(ir.images, vi.images, reading=reading):
        try:
            return image_size(pair[0]) == image_size(pair[1])
        except UserError:
            continue  # a broken file tells nothing
    return False

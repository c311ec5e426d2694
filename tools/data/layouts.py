"""Where infrared and visible images lie below a folder, however it is laid out: words in the names of folders and files tell.

    database/set00/V000/{lwir,visible}/I00000.jpg       KAIST
    MSRS/train/{ir,vi}/00001D.png
    LLVIP/{infrared,visible}/train/010001.jpg
    RoadScene/{cropinfrared,crop_LR_visible}/FLIR_00006.jpg
    FLIR/JPEGImages/FLIR_00002_{PreviewData,RGB}.jpeg   both in one folder

A folder is of the modality that the last part of its path with a word tells. Two folders belong together if their paths differ
in such words only, or if around the word one has nothing but what the other has too (thermal_8_bit beside RGB).
"""
import os
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

from tools.base.errors import UserError
from tools.base.wording import counted
from tools.data.images import describe_others, image_size, is_image
from tools.data.names import folded, make_partners, modality_of, read_name
from tools.data.pairing import BY_A_WORD, NAMED_AT_MOST, find_partners
from tools.data.reading import AS_THEY_ARE

OTHER = {'ir': 'vi', 'vi': 'ir'}


class Folder(NamedTuple):
    """A folder, or what is of one modality in it."""
    path: Path
    images: List[Path]  # in the order of their names
    others: List[str]   # names of files that are no images
    label: str          # the part of its path that tells its modality, and what is below it


class Sequence(NamedTuple):
    """Images that belong together: folders of each modality, several or none, or what a single folder holds of each."""
    ir: List[Folder]
    vi: List[Folder]


class Layout(NamedTuple):
    sequences: List[Sequence]
    unused: List[Folder]  # with the images whose modality no word tells, and other files


def find_layout(roots, reading=AS_THEY_ARE) -> Layout:
    """What lies below some folders: in their order, and by name. reading: as for tools.data.pairing.find_partners.

    Hidden files and folders are passed over, links are followed. UserError if a folder is missing or cannot be read.
    """
    folders, tops = _walk(roots)
    mixed = {path: _pairs_inside(folder, tops[path], reading) for path, folder in folders.items()}
    told = _told_by_folders(tops, mixed)
    modality = {path: of for path, (of, _) in told.items()}
    partners = defaultdict(set)
    for ir, vi in _partner_folders([path for path in folders if not mixed[path]], told):
        modality.update({ir: 'ir', vi: 'vi'})
        partners[ir].add(vi)
        partners[vi].add(ir)

    sequences, unused, done = [], [], set()
    for path, folder in folders.items():
        if path in done:
            continue
        if path in modality:
            together = [folders[other]._replace(label=_label(other, told)) for other in _connected(path, partners)]
            done.update(one.path for one in together)
            sequences.append(Sequence(*([one for one in together if modality[one.path] == of] for of in OTHER)))
            unused += [one._replace(images=[]) for one in together]
        else:
            parts = _parts_inside(folder, mixed[path])
            sequences.append(Sequence(*([part] if part.images else [] for part in parts)))
            used = {image for part in parts for image in part.images}
            unused.append(folder._replace(images=[image for image in folder.images if image not in used]))
    return Layout([one for one in sequences if any(part.images for part in [*one.ir, *one.vi])],
                  [folder for folder in unused if folder.images or folder.others])


def layout_of(ir=None, vi=None, reading=AS_THEY_ARE) -> Layout:
    """What lies below a folder of infrared and one of visible images, in folders of equal names; one of the two may be None."""
    if ir and vi and os.path.realpath(ir) == os.path.realpath(vi):
        return find_layout([ir], reading)
    below = [{}, {}]
    for root, found in zip((ir, vi), below):
        for path, folder in (_walk([root])[0] if root else {}).items():
            found[folded(str(path.relative_to(root)))] = folder._replace(label=path.name)
    sequences = [Sequence(*([found[name]] if name in found else [] for found in below)) for name in {**below[0], **below[1]}]
    return Layout(sequences, [folder._replace(images=[]) for found in below for folder in found.values() if folder.others])


def pair_of(sequence, reading=AS_THEY_ARE) -> Optional[Tuple[Folder, Folder]]:
    """The infrared and the visible folder of a sequence; None if it has one modality only.

    Of several, those whose images have the same size (RoadScene's crop_LR_visible); UserError if that leaves other than one pair.
    """
    choices = list(product(sequence.ir, sequence.vi))
    if len(choices) > 1:
        choices = [pair for pair in choices if _of_one_size(*pair, reading)]
        if len(choices) != 1:
            ir, vi = (', '.join(str(folder.path) for folder in folders) for folders in sequence)
            raise UserError(f'it is not clear which folders belong together: infrared {ir}; visible {vi}. Give one of each as ir and vi')
    return choices[0] if choices else None


def folder_pairs(root, reading=AS_THEY_ARE) -> List[Tuple[Path, Path]]:
    """All pairs of an infrared and a visible folder below a folder; twice the same where one folder holds both."""
    pairs = [pair_of(sequence, reading) for sequence in find_layout([root], reading).sequences]
    return [(ir.path, vi.path) for ir, vi in filter(None, pairs)]


def set_name(text, images):
    """The name of a test set in the folder `images` that is given as `NAME`, `NAME/` or the path `images/NAME`, as a shell completes it."""
    folder = Path(text) if Path(text).is_dir() and not Path(images, text).is_dir() else Path(images, text)
    name = Path(os.path.relpath(folder, images)).as_posix()
    return text if name.startswith('.') else name


def source_folders(test_set, reading=AS_THEY_ARE) -> Optional[Tuple[Path, Path]]:
    """The folders of infrared and of visible images in a test set, directly in it or at any depth; None if there are none.

    UserError if there are several.
    """
    pairs = folder_pairs(test_set, reading)
    directly = [pair for pair in pairs if pair[0].parent == Path(test_set)]
    pairs = directly or pairs
    if len(pairs) > 1:
        raise UserError(f'{test_set} holds several pairs of folders: ' + '; '.join(f'{ir} and {vi}' for ir, vi in pairs)
                        + '. Take a folder in it that holds one of them, or give one as ir and vi')
    return pairs[0] if pairs else None


def what_is_below(root) -> str:
    """The folders below one that hold files, and how many, as text."""
    texts = []
    for path, folder in _walk([root])[0].items():
        counts = [counted(len(folder.images), 'image')] * bool(folder.images) + [describe_others(folder.others)] * bool(folder.others)
        if counts:
            texts.append(f'{path.relative_to(root).as_posix()}/ with {", ".join(counts)}')
    return '; '.join(texts[:NAMED_AT_MOST] + ['…'] * (len(texts) > NAMED_AT_MOST)) or 'no files'


def _walk(roots):
    """({path: Folder}, {path: number of the first part of it whose words count: that of the folder above the root})."""
    folders, tops, visited = {}, {}, set()
    for root in roots:
        if not Path(root).is_dir():
            raise UserError(f'there is no folder {root}')
        for path, subfolders, files in os.walk(root, onerror=_refuse, followlinks=True):
            real_path = os.path.realpath(path)
            if real_path in visited:  # roots that overlap, links that go in a circle
                subfolders.clear()
                continue
            visited.add(real_path)
            subfolders[:] = sorted(name for name in subfolders if not name.startswith('.'))
            path = Path(path)
            names = [name for name in sorted(files) if not name.startswith('.')]
            folders[path] = Folder(path, [path / name for name in names if is_image(name)],
                                   [name for name in names if not is_image(name)], path.name)
            tops[path] = len(_parts(root)) - 2
    return folders, tops


def _parts(path):
    return Path(os.path.abspath(path)).parts


def _pairs_inside(folder, top, reading):
    """The partners among the images of one folder, none where the folder's name tells another thing."""
    partners = find_partners(folder.images, folder.images, one_folder=True, reading=reading)
    surely = any(why != BY_A_WORD for why in partners.values()) or not modality_of(_parts(folder.path)[top:])[0]
    return partners if surely else {}


def _parts_inside(folder, partners):
    """What of a folder is infrared and what is visible: those in pairs, and beside pairs others if their names say so.

    Without any pair names say too little: results fused from IR1 are called IR1, too.
    """
    of_pairs = [{pair[index] for pair in partners} for index in range(len(OTHER))]
    lone = {image: modality_of([image.stem])[0] for image in folder.images if partners and image not in of_pairs[0] | of_pairs[1]}
    return [folder._replace(images=[image for image in folder.images if image in inside or lone.get(image) == of])
            for inside, of in zip(of_pairs, OTHER)]


def _told_by_folders(tops, mixed):
    """{path: (its modality, the number of the part that tells it)}, for folders without pairs inside.

    A word does not count that stands in the name of a folder with images of both below it, as thermal_project/{ir,vi,labels}.
    """
    told, holds = {}, set()
    for path, partners in mixed.items():
        parts = _parts(path)
        of, index = modality_of(parts[tops[path]:])
        if partners:
            holds.update((parts[:end], of) for end in range(len(parts) + 1) for of in OTHER)
        elif of:
            told[path] = of, index + tops[path]
            holds.update((parts[:end], of) for end in range(index + tops[path] + 1))
    return {path: (of, index) for path, (of, index) in told.items() if (_parts(path)[:index + 1], OTHER[of]) not in holds}


def _partner_folders(paths, told):
    """All pairs (infrared folder, visible folder) of paths that may belong together."""
    names = {path: [read_name(part) for part in _parts(path)] for path in paths}
    words = {path: [word for name in names[path] for word in name.words] for path in paths}
    alike, nearly_alike = defaultdict(list), defaultdict(list)
    for path in paths:
        alike[tuple(name.key for name in names[path])].append(path)
    found = [pair for group in alike.values() for pair in product(group, group) if make_partners(*map(words.get, pair))]

    done = {path for pair in found for path in pair}
    around = {}
    for path, (_, index) in told.items():
        if path not in done:
            around[path] = set(names[path][index].bare)
            nearly_alike[tuple(name.key for name in names[path][:index]), tuple(name.key for name in names[path][index + 1:])].append(path)
    return found + [(ir, vi) for group in nearly_alike.values() for ir, vi in product(group, group)
                    if told[ir][0] == 'ir' and told[vi][0] == 'vi' and (around[ir] <= around[vi] or around[vi] <= around[ir])]


def _connected(path, partners):
    """The folders that belong to one, directly or by way of others, itself first."""
    together = [path]
    for one in together:
        together += sorted(partners[one] - set(together))
    return together


def _label(path, told):
    return '/'.join(_parts(path)[told[path][1]:]) if path in told else path.name


def _of_one_size(ir, vi, reading):
    for pair in find_partners(ir.images, vi.images, reading=reading):
        try:
            return image_size(pair[0]) == image_size(pair[1])
        except UserError:
            continue  # a broken file tells nothing
    return False


def _refuse(error):
    raise UserError(f'cannot read the folder {error.filename}: {error.strerror}')

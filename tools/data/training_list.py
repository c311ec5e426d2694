"""Lists of training images: which files, known by their SHA-256 and by what they look like, and where they come from.

A list is a table of tab-separated values with a line for each pair, or for each image of one modality:

    infrared, visible                  the files, from the list's folder on; empty for a modality that is not there
    sha256 infrared, sha256 visible    of the files
    hash infrared, hash visible        tools.data.test_images.perceptual_hash
    part                               training, validation or not used; empty in the list of a run
    repository, commit, …              only where files can be rebuilt from published ones: tools/data/rebuilding.py
"""
import csv
import hashlib
import io
import os
import re
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.wording import some
from tools.data.images import is_image
from tools.data.kaist import list_images_of, list_pairs
from tools.data.test_images import MODALITIES, perceptual_hash_of

FILES = tuple(f'{column}{modality}' for column in ('', 'sha256 ', 'hash ') for modality in MODALITIES)
PART = 'part'
TRAINING, VALIDATION, NOT_USED = PARTS = 'training', 'validation', 'not used'
SOURCES = ('repository', 'commit', 'source infrared', 'source visible', 'source sha256 infrared', 'source sha256 visible', 'transformation')
SHA, HASH, COMMIT = (re.compile(f'[0-9a-f]{{{digits}}}') for digits in (64, 16, 40))
BETWEEN = ' ; '  # of the infrared image's repository and the visible one's, and of their commits, where they are two


def entry_of(item, folder, modality=None):
    """The line of a pair (infrared, visible), or of an image (path,) of a modality 'ir' or 'vi', as a dict. UserError for a broken file."""
    paths = item if len(item) == 2 else (*item, None) if modality == 'ir' else (None, *item)
    entry = dict.fromkeys((*FILES, PART), '')
    for name, path in zip(MODALITIES, paths):
        if path is not None:
            entry.update({name: Path(os.path.relpath(path, folder)).as_posix(), f'sha256 {name}': sha256_of(path),
                          f'hash {name}': perceptual_hash_of(path)})
    return entry


def sha256_of(path):
    """The SHA-256 of a file. UserError if it cannot be read."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror}') from error


def folder_of(roots):
    """The folder that the paths of a list start from: what the folders it is made of have in common."""
    return os.path.commonpath([os.path.abspath(root) for root in roots])


def make_list(roots):
    """The entries of all pairs below some folders, or if they hold one modality only, of its images; and a report, both as of training."""
    try:
        listing, modality = list_pairs(roots), None
    except UserError as no_pairs:
        for modality in ('ir', 'vi'):
            try:
                listing = list_images_of(roots, modality)
                break
            except UserError:
                continue
        else:
            raise no_pairs
    folder = folder_of(roots)
    items = tqdm(listing.items, 'hashing', leave=False, disable=None)
    return [entry_of(item, folder, modality) for item in items], listing.report


def write_list(path, entries):
    """Write a list, whole or not at all; the columns of sources only if an entry has them."""
    columns = [*FILES, PART, *(SOURCES if any('repository' in entry for entry in entries) else ())]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter='\t', lineterminator='\n')
    writer.writeheader()
    writer.writerows(entries)
    write_text(path, text.getvalue())


def read_list(path):
    """The entries of a list -> a list of dicts. UserError for one that is damaged, names a file twice, or a repository at two commits."""
    try:
        with open(path, encoding='utf-8', newline='') as file:
            reader = csv.DictReader(file, delimiter='\t', restval='', restkey='more')
            entries = list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f'cannot read the list {path}: {error}') from error
    lacking = [name for name in (*FILES, PART) if name not in (reader.fieldnames or ())]
    if lacking:
        raise UserError(f'{path} is no list of training images: it has no column {", ".join(lacking)}')
    if not entries:
        raise UserError(f'{path} is empty: it names no image')
    files, commits = {}, {}
    for number, entry in enumerate(entries, 2):  # the first line names the columns
        where = f'{path}, line {number}'
        _check_entry(entry, where)
        for name in filter(None, (entry[modality] for modality in MODALITIES)):
            if files.setdefault(name, number) != number:
                raise UserError(f'{where}: {name} is there twice, in line {files[name]} too')
        for repository, commit in origins(entry) if entry.get('repository') else ():
            if commits.setdefault(repository, commit) != commit:
                raise UserError(f'{where}: {repository} is taken at commit {commit}, and at {commits[repository]} before: a list has one')
    return entries


def origins(entry):
    """((repository, commit) of the infrared file, of the visible file) of an entry that has sources."""
    repositories, commits = entry['repository'].split(BETWEEN), entry['commit'].split(BETWEEN)
    return tuple(zip((repositories * 2)[:2], (commits * 2)[:2]))


def check_list(entries, folder):
    """Lines that say in which files a folder differs from a list, none if in none: missing, changed, not in the list, the same twice."""
    found = {how: [] for how in ('missing', 'changed', 'not in the list', 'the same as an image before')}
    known, contents = set(), set()
    for entry in tqdm(entries, 'checking', leave=False, disable=None):
        for modality in filter(entry.get, MODALITIES):
            path = Path(folder, entry[modality])
            known.add(path)
            if not path.is_file():
                found['missing'].append(path)
            elif sha256_of(path) != entry[f'sha256 {modality}']:
                found['changed'].append(path)
        content = tuple(entry[f'sha256 {modality}'] for modality in MODALITIES)
        if content in contents:
            found['the same as an image before'].append(Path(folder, entry['infrared'] or entry['visible']))
        contents.add(content)
    images = (path for path in sorted(Path(folder).rglob('*')) if is_image(path.name))
    found['not in the list'] = [path for path in images if path not in known]
    return [f'{len(files)} {how}: {some(files)}' for how, files in found.items() if files]


def divide(entries, validation=(), unused=()):
    """Set the part of each entry: those below the folders `validation`, those below `unused`, the rest for training.

    UserError for a folder that none is below.
    """
    for entry in entries:
        entry[PART] = TRAINING
    for part, folders in (VALIDATION, validation), (NOT_USED, unused):
        for folder in folders:
            below = [entry for entry in entries if f'{entry["infrared"] or entry["visible"]}/'.startswith(folder.rstrip('/') + '/')]
            if not below:
                raise UserError(f'{part}: no image of the list is below {folder}')
            for entry in below:
                entry[PART] = part


def _check_entry(entry, where):
    """UserError unless an entry's columns can be what they are called."""
    names = [entry[modality] for modality in MODALITIES if entry[modality]]
    outside = [name for name in names if PurePosixPath(name).is_absolute() or '..' in PurePosixPath(name).parts or '\\' in name]
    if outside:
        raise UserError(f'{where}: {outside[0]} is outside of the folder that the list is of')
    sound = names and 'more' not in entry and entry[PART] in ('', *PARTS)
    sound = sound and all(SHA.fullmatch(entry[f'sha256 {modality}']) and HASH.fullmatch(entry[f'hash {modality}'])
                          for modality in MODALITIES if entry[modality])
    if entry.get('repository'):
        sound = sound and entry['transformation'] and all(COMMIT.fullmatch(commit) for _, commit in origins(entry))
        sound = sound and all(SHA.fullmatch(entry[f'source sha256 {modality}']) and entry[f'source {modality}'] for modality in MODALITIES)
    if not sound:
        raise UserError(f'{where} is damaged or cut off: get the list again')

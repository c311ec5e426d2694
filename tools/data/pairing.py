"""Which infrared file belongs to which visible one, and which fused file to which pair, as tools/data/names.py reads.

Two files are a pair if their names are equal, or differ in nothing but words for their modality: IR1 and VIS1,
hill_lwir and hill_rgb; else if only one has such a word: IR_hill and hill. Names asked for (--ir_name, --vi_name) count
instead.
"""
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from tools.base.errors import UserError
from tools.base.files import printable
from tools.base.wording import counted, some
from tools.data.images import list_images, natural_key, other_files
from tools.data.names import common_part, folded, make_partners, read_name, swap_doubts
from tools.data.reading import AS_THEY_ARE

SAME_NAME, BY_WORDS, BY_A_WORD, AS_ASKED = range(4)  # why two files are a pair
HOW_NAMES_PAIR = ('equal names pair, and those that differ only in a word for their modality: IR1 ↔ VIS1, hill_lwir ↔ '
                  'hill_rgb, IR_hill ↔ hill; for others there are the settings ir_name and vi_name')
SWAPPED = 'ir and vi seem to be swapped'
FUSED_PREFIX = r'results_[a-z0-9]+_'  # the original's results_transfuse_IR1.png and results_crossfuse_NAME.png


class Pair(NamedTuple):
    name: str  # the infrared file's, as it stands in tables
    ir: Path
    vi: Path


class Pairing(NamedTuple):
    rule: str  # the rule, or rules, that made the pairs
    pairs: List[Pair]
    unpaired: List[Path]
    notes: Tuple[str, ...] = ()  # what else the user should know, a line each

    def files(self) -> Tuple[List[Path], List[Path]]:
        """([infrared files], [visible files]) of the pairs."""
        return [pair.ir for pair in self.pairs], [pair.vi for pair in self.pairs]

    def describe(self):
        """For the user: what was paired and by which rule, each file left without a partner, and what is doubtful."""
        text = f'{counted(len(self.pairs), "pair")} found by the rule: {self.rule}'
        if self.unpaired:
            text += '\n'.join([f', {len(self.unpaired)} without a partner:', *(f'  {path}' for path in self.unpaired)])
        return '\n'.join([text, *self.notes])


class FusedMatch(NamedTuple):
    paths: Dict[str, Path]  # a pair's name -> its fused file
    missing: List[Pair]     # pairs without a fused file
    unmatched: List[Path]   # fused files without a pair
    rule: str               # how names were matched, if not by being equal, else ''


def find_partners(ir_files, vi_files, one_folder=False, reading=AS_THEY_ARE) -> Dict[Tuple[Path, Path], int]:
    """{(infrared file, visible file): why they are partners}, all candidates, by the files' names alone.

    one_folder: the files are in one folder, so that only words tell their modality: by equal names each would pair with
    itself.
    """
    if reading.names:
        parts = ({path: common_part(named, path) for path in files}
                 for named, files in zip(reading.names, (ir_files, vi_files)))
        return {(ir, vi): AS_ASKED for ir, vi in _with_equal(*parts) if ir != vi}

    ir_names, vi_names = ({path: read_name(path.stem) for path in files} for files in (ir_files, vi_files))
    found = {}
    for ir, vi in _with_equal(*({path: name.key for path, name in names.items()} for names in (ir_names, vi_names))):
        words = ir_names[ir].words, vi_names[vi].words
        if words[0] == words[1] and not one_folder:
            found[ir, vi] = SAME_NAME
        elif make_partners(*words):
            found[ir, vi] = BY_WORDS
    done = {path for pair in found for path in pair}
    bare = ({path: name.bare for path, name in names.items() if path not in done and other not in name.modalities}
            for names, other in ((ir_names, 'vi'), (vi_names, 'ir')))
    for ir, vi in _with_equal(*bare):
        if ir_names[ir].modalities or vi_names[vi].modalities and not one_folder:
            found[ir, vi] = BY_A_WORD
    return found


def candidates_of(partners):
    """{file: its partners}, none for any other file, from what `find_partners` gives."""
    candidates = defaultdict(list)
    for ir, vi in partners:
        candidates[ir].append(vi)
        candidates[vi].append(ir)
    return candidates


def pair_folders(ir, vi, reading=AS_THEY_ARE) -> Pairing:
    """Pair the images of an infrared and a visible folder by their names, or two single files -> Pairing.

    A folder may mix ways of naming. One that holds both modalities may be given twice.
    Raises UserError if a file has two candidates (never a guess), if nothing is paired, or if a path is missing.
    """
    ir, vi = Path(ir), Path(vi)
    for path in (ir, vi):
        if not path.exists():
            raise UserError(f'{path}: no such file or folder')
    if ir.is_file() != vi.is_file():
        raise UserError(f'{ir} and {vi}: give two folders or two files, not one of each')
    one = ir.samefile(vi)
    if ir.is_file():
        if one:
            raise UserError(f'{ir} was given both as the infrared and as the visible image')
        return Pairing('two files as given', [Pair(printable(ir.name), ir, vi)], [], tuple(swap_doubts(ir, vi)))

    ir_files = list_images(ir)
    vi_files = ir_files if one else list_images(vi)
    partners = find_partners(ir_files, vi_files, one, reading)
    if not partners:
        swapped = not one and find_partners(vi_files, ir_files, reading=reading)
        raise UserError(f'no infrared image in {ir} ({_what_is_in(ir, ir_files)}) has a visible partner in {vi} ('
                        f'{_what_is_in(vi, vi_files)}); ' + (SWAPPED if swapped else HOW_NAMES_PAIR))
    candidates = candidates_of(partners)
    for path, of_path in candidates.items():
        if len(of_path) > 1:
            raise UserError(f'{path} has {len(of_path)} candidates for a partner: {_names(of_path)}; '
                            'remove or rename all but one')
    pairs = sorted((Pair(printable(ir_file.name), ir_file, vi_file) for ir_file, vi_file in partners),
                   key=lambda pair: natural_key(pair.name))
    folders = {ir: ir_files, vi: vi_files} if not one else {ir: ir_files}
    passed_over = [f'{folder}: {other_files(folder)} passed over' for folder in folders if other_files(folder)]
    unpaired = [path for path in sum(folders.values(), []) if path not in candidates]
    return Pairing(_rules(pairs, partners), pairs, unpaired, (*swap_doubts(ir, vi), *passed_over))


def match_fused(pairs, fused_dir):
    """Find the fused image of each pair in a folder -> FusedMatch.

    A fused file is named like its pair's infrared or visible file, with any image extension, and may have a prefix as
    in `results_transfuse_IR1.png`. If no file is, one text before and behind the names is taken off all: fused_IR1, IR1_out,
    carLight_out for carLight_ir; if that does not help either, the number counts: 1.png is IR1.
    UserError if a pair has two fused files, a fused file two pairs, or if none fits.
    """
    files = list_images(fused_dir)
    ways = ((rule, {path: {pair for name in names.get(path, ()) for pair in pairs_named.get(name, ())} for path in files})
            for rule, pairs_named, names in _ways_to_match(pairs, {path: folded(path.stem) for path in files}))
    rule, found = next((way for way in ways if any(way[1].values())), ('', {}))
    if not found:
        raise UserError(f'no image in {fused_dir} ({_what_is_in(fused_dir, files)}) is named like one of the pairs '
                        f'({_names(pair.ir for pair in pairs)}), also not with one text before or behind all names')
    paths, unmatched = {}, [path for path, candidates in found.items() if not candidates]
    for path, candidates in found.items():
        if len(candidates) > 1:
            raise UserError(f'{path} could be the fused image of {_names(pair.ir for pair in candidates)}: rename it')
        for pair in candidates:
            if pair.name in paths:
                raise UserError(f'two fused images for {pair.name}: {paths[pair.name]} and {path}; leave one of them')
            paths[pair.name] = path
    return FusedMatch(paths, [pair for pair in pairs if pair.name not in paths], unmatched, rule)


def _ways_to_match(pairs, stems):
    """Ways to match fused files, the surest first: (rule, {name: pairs that may be called so}, {file: its names})."""
    full = _by_names(pairs, folded)
    yield '', full, {path: {stem, re.sub(f'^{FUSED_PREFIX}', '', stem)} for path, stem in stems.items()}
    for pairs_named in (full, _by_names(pairs, lambda stem: read_name(stem).rest)):
        affix = _common_affix(stems.values(), pairs_named)
        if affix:
            before, after = affix
            yield f'names as {before}NAME{after}', pairs_named, {
                path: {stem[len(before):len(stem) - len(after)]} for path, stem in stems.items()
                if stem.startswith(before) and stem.endswith(after)}
    numbers = {path: {_number(stem)} for path, stem in stems.items()}
    yield 'the numbers in the names', _by_names(pairs, _number), numbers


def _by_names(pairs, called):
    """{what the infrared or the visible file of a pair is called: the pairs}, no empty names. called: of a stem."""
    named = defaultdict(set)
    for pair in pairs:
        for name in {called(pair.ir.stem), called(pair.vi.stem)} - {''}:
            named[name].add(pair)
    return named


def _common_affix(stems, names):
    """What most of the files have before and behind one of the names, as two texts; None if not more than half do.

    A number counts as a whole: IR1 is not in IR11.
    """
    affixes = Counter()
    for stem in stems:
        borders = [i for i in range(len(stem) + 1) if not re.fullmatch(r'\d\d', stem[i - 1:i + 1])]
        affixes.update((stem[:i], stem[j:]) for i in borders for j in borders if stem[i:j] in names)
    (affix, count), (_, second) = [*affixes.most_common(2), (None, 0), (None, 0)][:2]
    return affix if count > max(second, len(stems) / 2) else None


def _number(stem):
    """The number in a name that has just one, as text; '' for other names."""
    numbers = re.findall(r'\d+', stem)
    return str(int(numbers[0])) if len(numbers) == 1 else ''


def _with_equal(ours, theirs):
    """All pairs of keys of two dicts that have the same value, which is neither None nor empty."""
    having = defaultdict(list)
    for key, value in theirs.items():
        having[value].append(key)
    return [(key, other) for key, value in ours.items() if value for other in having[value]]


def _rules(pairs, partners):
    """Why files were paired, as text: an example of each way, with its number if there are several."""
    examples = {}
    for pair in pairs:
        why = partners[pair.ir, pair.vi]
        examples.setdefault(why, 'same name, any extension' if why == SAME_NAME else f'{pair.ir.stem} ↔ {pair.vi.stem}')
    counts = Counter(partners.values())
    return ', '.join(sorted(text if len(counts) == 1 else f'{text} ({counts[why]})' for why, text in examples.items()))


def _names(paths):
    return some([path.name for path in paths])


def _what_is_in(folder, images):
    """What a folder holds, as text: images, or what there is instead."""
    if images:
        return _names(images)
    folders = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    return ', '.join(['no images', *filter(None, [other_files(folder), 'folders ' + some(folders) if folders else ''])])

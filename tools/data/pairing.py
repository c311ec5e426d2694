"""Which infrared file belongs to which visible one, and which fused file to which pair, by their names."""
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from tools.base.errors import UserError
from tools.base.files import printable
from tools.base.wording import counted
from tools.data.images import list_images, natural_key, other_files
from tools.data.names import common_part, folded, make_partners, read_name, seem_swapped
from tools.data.reading import AS_THEY_ARE

NAMED_AT_MOST = 5  # files in an error message
SAME_NAME, BY_WORDS, BY_A_WORD, AS_ASKED = range(4)  # why two files are a pair
HOW_NAMES_PAIR = ('equal names pair, and those that differ only in a word for their modality: IR1 ↔ VIS1, hill_lwir ↔ hill_rgb, '
                  'IR_hill ↔ hill; for others there are the settings ir_name and vi_name')

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
        """For the user: what was paired and by which rule, and below it each file left without a partner, and what is doubtful."""
        text = f'{counted(len(self.pairs), "pair")} found by the rule: {self.rule}'
        if self.unpaired:
            text += '\n'.join([f', {len(self.unpaired)} without a partner:'] + [f'  {path}' for path in self.unpaired])
        return '\n'.join([text, *self.notes])


class FusedMatch(NamedTuple):
    paths: Dict[str, Path]  # a pair's name -> its fused file
    missing: List[Pair]     # pairs without a fused file
    unmatched: List[Path]   # fused files without a pair
    rule: str               # how names were matched, if not by being equal, else ''


def find_partners(ir_files, vi_files, one_folder=False, reading=AS_THEY_ARE) -> Dict[Tuple[Path, Path], int]:
    """{(infrared file, visible file): why they are partners}, all candidates, by the files' names alone.

    one_folder: the files are in one folder, so that only words tell their modality. reading: its names, if any, count
    in place of the words. Words on one side only, as in IR_hill and hill, count for files that have no other partner.
    """
    if reading.names:
        ir_parts, vi_parts = ({path: common_part(named, path) for path in files}
                              for named, files in zip(reading.names, (ir_files, vi_files)))
        return {(ir, vi): AS_ASKED for ir, vi in _with_equal(ir_parts, vi_parts) if ir != vi}

    ir_names, vi_names = ({path: read_name(path.stem) for path in files} for files in (ir_files, vi_files))
    found = {}
    for ir, vi in _with_equal({path: name.key for path, name in ir_names.items()}, {path: name.key for path, name in vi_names.items()}):
        words = ir_names[ir].words, vi_names[vi].words
        if words[0] == words[1] and not one_folder:
            found[ir, vi] = SAME_NAME
        elif make_partners(*words):
            found[ir, vi] = BY_WORDS
    done = {path for pair in found for path in pair}
    ir_bare = {path: name.bare for path, name in ir_names.items() if path not in done and 'vi' not in name.modalities}
    vi_bare = {path: name.bare for path, name in vi_names.items() if path not in done and 'ir' not in name.modalities}
    for ir, vi in _with_equal(ir_bare, vi_bare):
        if ir_names[ir].modalities or vi_names[vi].modalities and not one_folder:
            found[ir, vi] = BY_A_WORD
    return found


def pair_folders(ir, vi, reading=AS_THEY_ARE) -> Pairing:
    """Pair the images of an infrared and a visible folder by their names, or two single files -> Pairing.

    A folder may mix ways of naming. A folder that holds both modalities may be given twice; the same name does not count
    then, which would pair each file with itself. reading: its names, as for `find_partners`.
    Raises UserError if a file has two candidates (never a guess), if nothing is paired, or if a path is missing.
    """
    ir, vi = Path(ir), Path(vi)
    for path in (ir, vi):
        if not path.exists():
            raise UserError(f'{path}: no such file or folder')
    if ir.is_file() != vi.is_file():
        raise UserError(f'{ir} and {vi}: give two folders or two files, not one of each')
    doubts = [f'doubtful: their names say that {ir} and {vi}, given as ir and vi, are swapped'] if seem_swapped(ir, vi) else []
    if ir.is_file():
        if ir.samefile(vi):
            raise UserError(f'{ir} was given both as the infrared and as the visible image')
        return Pairing('two files as given', [Pair(printable(ir.name), ir, vi)], [], tuple(doubts))

    one_folder = ir.samefile(vi)
    ir_files = list_images(ir)
    vi_files = ir_files if one_folder else list_images(vi)
    partners = find_partners(ir_files, vi_files, one_folder, reading)
    if not partners:
        swapped = find_partners(vi_files, ir_files, one_folder, reading) and not one_folder
        raise UserError(f'no infrared image in {ir} ({_what_is_in(ir, ir_files)}) has a visible partner in {vi} '
                        f'({_what_is_in(vi, vi_files)}); ' + ('ir and vi seem to be swapped' if swapped else HOW_NAMES_PAIR))
    _refuse_two_candidates(partners)

    pairs = sorted((Pair(printable(ir_file.name), ir_file, vi_file) for ir_file, vi_file in partners),
                   key=lambda pair: natural_key(pair.name))
    paired = {path for pair in partners for path in pair}
    files = ir_files if one_folder else ir_files + vi_files
    folders = [ir] if one_folder else [ir, vi]
    passed_over = [f'{folder}: {text} passed over' for folder, text in zip(folders, map(other_files, folders)) if text]
    return Pairing(_rules(pairs, partners), pairs, [path for path in files if path not in paired], (*doubts, *passed_over))


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
                        f'({some_names(pair.ir for pair in pairs)}), also not with one text before or behind all names')
    paths, unmatched = {}, []
    for path, candidates in found.items():
        if len(candidates) > 1:
            raise UserError(f'{path} could be the fused image of {some_names(pair.ir for pair in candidates)}: rename it')
        if not candidates:
            unmatched.append(path)
            continue
        name = candidates.pop().name
        if name in paths:
            raise UserError(f'two fused images for {name}: {paths[name]} and {path}; leave one of them')
        paths[name] = path
    return FusedMatch(paths, [pair for pair in pairs if pair.name not in paths], unmatched, rule)


def some_names(paths):
    """The names of the first few files, as text."""
    names = [path.name for path in paths]
    more = f' and {len(names) - NAMED_AT_MOST} more' if len(names) > NAMED_AT_MOST else ''
    return ', '.join(names[:NAMED_AT_MOST]) + more or 'no images'


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


def _ways_to_match(pairs, stems):
    """Ways to match fused files, the surest first: (rule, {name: pairs that may be called so}, {file: names that it may have})."""
    full = _by_names(pairs, folded)
    yield '', full, {path: {stem, re.sub(f'^{FUSED_PREFIX}', '', stem)} for path, stem in stems.items()}
    for pairs_named in (full, _by_names(pairs, lambda stem: read_name(stem).rest)):
        affix = _common_affix(stems.values(), pairs_named)
        if affix:
            before, after = affix
            yield f'names as {before}NAME{after}', pairs_named, {
                path: {stem[len(before):len(stem) - len(after)]} for path, stem in stems.items()
                if stem.startswith(before) and stem.endswith(after)}
    yield 'the numbers in the names', _by_names(pairs, _number), {path: {_number(stem)} for path, stem in stems.items()}


def _by_names(pairs, called):
    """{what the infrared or the visible file of a pair is called: the pairs}, without empty names. called: function of a stem."""
    named = defaultdict(set)
    for pair in pairs:
        for name in {called(pair.ir.stem), called(pair.vi.stem)} - {''}:
            named[name].add(pair)
    return named


def _common_affix(stems, names):
    """What most of the files have before and behind one of the names, as two texts; None if not more than half of them have the same.

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


def _refuse_two_candidates(partners):
    partners_of = defaultdict(list)
    for ir_file, vi_file in partners:
        partners_of[ir_file].append(vi_file)
        partners_of[vi_file].append(ir_file)
    for path, candidates in partners_of.items():
        if len(candidates) > 1:
            raise UserError(f'{path} has {len(candidates)} candidates for a partner: {some_names(candidates)}; '
                            'remove or rename all but one')


def _what_is_in(folder, images):
    """What a folder holds, as text: images, or what there is instead."""
    if images:
        return some_names(images)
    folders = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    there = [other_files(folder), f'folders {", ".join(folders[:NAMED_AT_MOST])}' if folders else '']
    return ', '.join(['no images', *filter(None, there)])

"""Which infrared file belongs to which visible one, and which fused file to which pair, by their names."""
import re
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple

from tools.errors import UserError
from tools.images import list_images, natural_key

NAMED_AT_MOST = 5  # files in an error message


class Rule(NamedTuple):
    """Two files belong together if each stem matches its pattern in full and what the groups caught is the same."""
    name: str
    ir: str
    vis: str


# Rules that tell an infrared file from a visible one.
MARKED_RULES = (
    Rule('IR1 ↔ VIS1', r'ir(.*)', r'vis?(.*)'),
    Rule('NAME_ir ↔ NAME_vis', r'(.*)[_-]ir', r'(.*)[_-]vis?'),
    Rule('lwir ↔ visible', r'(.*)lwir(.*)', r'(.*)visible(.*)'),
)
ALL_RULES = (Rule('same name, any extension', r'(.*)', r'(.*)'),) + MARKED_RULES

VISIBLE_FOLDERS = 'vi', 'vis'
FUSED_PREFIX = r'results_[a-z0-9]+_'  # the original's results_transfuse_IR1.png and results_crossfuse_NAME.png


class Pair(NamedTuple):
    name: str  # the infrared file's name, used for output names
    ir: Path
    vis: Path


class Pairing(NamedTuple):
    rule: str  # the rule, or rules, that made the pairs
    pairs: List[Pair]
    unpaired: List[Path]

    def describe(self):
        """For the user: what was paired and by which rule, and below it each file left without a partner."""
        text = f'{len(self.pairs)} {"pair" if len(self.pairs) == 1 else "pairs"} by the rule: {self.rule}'
        if self.unpaired:
            text += '\n'.join([f', {len(self.unpaired)} without a partner:'] + [f'  {path}' for path in self.unpaired])
        return text


class FusedMatch(NamedTuple):
    paths: Dict[str, Path]  # a pair's name -> its fused file
    missing: List[Pair]     # pairs without a fused file
    unmatched: List[Path]   # fused files without a pair


def source_folders(test_set):
    """The folders of infrared and of visible images in a test set, SET/ir and SET/vi, or vis as in TNO; None if there are none."""
    ir, visible = Path(test_set, 'ir'), [Path(test_set, name) for name in VISIBLE_FOLDERS]
    vis = next((folder for folder in visible if folder.is_dir()), None)
    return (ir, vis) if vis and ir.is_dir() else None


def pair_folders(ir, vis):
    """Pair the images of an infrared and a visible folder by their names, or two single files -> Pairing.

    Every rule is tried on every file (upper and lower case alike), so a folder may mix them. A folder that holds both
    modalities may be given twice; the same name does not count then, which would pair each file with itself.
    Raises UserError if a file has two candidates (never a guess), if nothing is paired, or if a path is missing.
    """
    ir, vis = Path(ir), Path(vis)
    for path in (ir, vis):
        if not path.exists():
            raise UserError(f'{path}: no such file or folder')
    if ir.is_file() != vis.is_file():
        raise UserError(f'{ir} and {vis}: give two folders or two files, not one of each')
    if ir.is_file():
        if ir.samefile(vis):
            raise UserError(f'{ir} was given both as the infrared and as the visible image')
        return Pairing('two files as given', [Pair(ir.name, ir, vis)], [])

    if ir.samefile(vis):
        ir_files = vis_files = files = list_images(ir)
        rule_of = _find_partners(ir_files, vis_files, MARKED_RULES)
    else:
        ir_files, vis_files = list_images(ir), list_images(vis)
        files = ir_files + vis_files
        rule_of = _find_partners(ir_files, vis_files, ALL_RULES)
    if not rule_of:
        raise UserError(f'no infrared image in {ir} ({_some_names(ir_files)}) has a visible partner in {vis} '
                        f'({_some_names(vis_files)}); names that pair: {"; ".join(rule.name for rule in ALL_RULES)}')
    _refuse_two_candidates(rule_of)

    pairs = [Pair(ir_file.name, ir_file, vis_file) for ir_file, vis_file in rule_of]
    pairs.sort(key=lambda pair: natural_key(pair.name))
    used = sorted(set(rule_of.values()))
    if len(used) > 1:
        used = [f'{rule} ({list(rule_of.values()).count(rule)})' for rule in used]
    paired = {path for pair in rule_of for path in pair}
    return Pairing(', '.join(used), pairs, [path for path in files if path not in paired])


def match_fused(pairs, fused_dir):
    """Find the fused image of each pair in a folder -> FusedMatch.

    A fused file is named like its pair's infrared or visible file, with any image extension, and may have a prefix as
    in `results_transfuse_IR1.png`. UserError if a pair has two fused files, a fused file two pairs, or if none fits.
    """
    pairs_named = defaultdict(set)
    for pair in pairs:
        pairs_named[pair.ir.stem.casefold()].add(pair)
        pairs_named[pair.vis.stem.casefold()].add(pair)

    paths, unmatched = {}, []
    for path in list_images(fused_dir):
        stem = path.stem.casefold()
        found = pairs_named.get(stem, set()) | pairs_named.get(re.sub(f'^{FUSED_PREFIX}', '', stem), set())
        if len(found) > 1:
            raise UserError(f'{path} could be the fused image of {_some_names(pair.ir for pair in found)}: rename it')
        if not found:
            unmatched.append(path)
            continue
        name = found.pop().name
        if name in paths:
            raise UserError(f'two fused images for {name}: {paths[name]} and {path}; leave one of them')
        paths[name] = path
    if not paths:
        raise UserError(f'no image in {fused_dir} ({_some_names(unmatched)}) is named like one of the pairs '
                        f'({_some_names(pair.ir for pair in pairs)}), with or without the prefix results_METHOD_')
    return FusedMatch(paths, [pair for pair in pairs if pair.name not in paths], unmatched)


def _find_partners(ir_files, vis_files, rules):
    """{(infrared file, visible file): name of the first rule that pairs them}."""
    rule_of = {}
    for rule in rules:
        vis_with = defaultdict(list)
        for path in vis_files:
            vis_with[_key(rule.vis, path)].append(path)
        for path in ir_files:
            key = _key(rule.ir, path)
            for partner in vis_with[key] if key else []:
                rule_of.setdefault((path, partner), rule.name)
    return rule_of


def _key(pattern, path):
    match = re.fullmatch(pattern, path.stem, re.IGNORECASE)
    return match and tuple(group.casefold() for group in match.groups())


def _refuse_two_candidates(partners):
    partners_of = defaultdict(list)
    for ir_file, vis_file in partners:
        partners_of[ir_file].append(vis_file)
        partners_of[vis_file].append(ir_file)
    for path, candidates in partners_of.items():
        if len(candidates) > 1:
            raise UserError(f'{path} has {len(candidates)} candidates for a partner: {_some_names(candidates)}; '
                            'remove or rename all but one')


def _some_names(paths):
    names = [path.name for path in paths]
    more = f' and {len(names) - NAMED_AT_MOST} more' if len(names) > NAMED_AT_MOST else ''
    return ', '.join(names[:NAMED_AT_MOST]) + more or 'no images'

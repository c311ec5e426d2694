"""What the name of a file or folder says: infrared or visible; and which two names differ in nothing else.

One notion in training, fusing and scoring. A name is compared after NFC and case folding, and cut into runs of letters,
numbers, and what stands between them. A run that is a modality's word says so: IR1, hill_vis, crop_LR_visible,
cropinfrared, videoIR. Words of other bands, as NIR or II, are ordinary runs: no word of ours is in them.
"""
import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Optional, Tuple

MODALITY = {
    **dict.fromkeys(('ir', 'infrared', 'thermal', 'lwir', 'mwir', 'tir', 'fir', 'inf', 'th', 't', 'g', 'previewdata'), 'ir'),
    **dict.fromkeys(('vi', 'vis', 'visible', 'visual', 'rgb', 'w', 'r'), 'vi'),
}
COMPANIONS = {'g', 'r'}  # TNO's IR_lake_g and VIS_lake_r: they count beside another word only
DOUBTFUL_ALONE = {'t', 'th', 'w', *COMPANIONS}  # they count where the other name has the other word
OTHER_BANDS = {'nir', 'swir', 'ii'}
WORDS_INSIDE = re.compile('(infrared|thermal|lwir|visible)', re.IGNORECASE)  # in a run: no other word has them in it
EDGE_WORDS = '|'.join(word for word in MODALITY if len(word) > 1)
# At an end of a run where upper and lower case change: videoIR, irVideo, IRvideo. Not in Air, Vision.
WORD_AT_THE_END = re.compile(f'(.*[a-z])(?=[A-Z])((?i:{EDGE_WORDS}))')
WORD_AT_THE_START = re.compile(f'((?i:{EDGE_WORDS}))(?:(?<=[a-z])(?=[A-Z])|(?<=[A-Z][A-Z])(?=[a-z]))(.*)')
RUNS = re.compile(r'[^\W\d_]+|\d+|[\W_]+')
SPELLED_NIR = re.compile(r'(?<![^\W\d_])(near|short)[\W_]*(wave)?[\W_]*(infrared|ir)(?![^\W\d_])', re.IGNORECASE)


class Name(NamedTuple):
    """A name taken apart: names with the same key differ in their modality's words only."""
    key: Tuple[Optional[str], ...]  # its runs, None for a word
    words: Tuple[str, ...]
    modalities: frozenset  # what it says by itself, of 'ir' and 'vi'

    @property
    def bare(self):
        """What is left without words and separators."""
        return tuple(run for run in self.key if run and run.isalnum())

    @property
    def rest(self):
        """The name without words."""
        return re.sub(r'^[\W_]+|[\W_]+$', '', ''.join(run or '' for run in self.key))


@lru_cache(maxsize=2 ** 18)  # the names of large sets come again and again: I00000
def read_name(text) -> Name:
    """The Name of a file, without its extension, or of a folder."""
    runs = RUNS.findall(SPELLED_NIR.sub('nir', unicodedata.normalize('NFC', text)))
    parts = [folded(part) for run in runs for part in _parts(run)]
    words = tuple(part for part in parts if part in MODALITY)
    return Name(tuple(None if part in MODALITY else part for part in parts), words,
                frozenset(MODALITY[word] for word in words if word not in DOUBTFUL_ALONE))


def _parts(run):
    """A run of letters cut where a modality's word in it begins and ends."""
    if folded(run) in MODALITY or folded(run) in OTHER_BANDS:
        return [run]
    if WORDS_INSIDE.search(run):
        return [part for part in WORDS_INSIDE.split(run) if part]
    at_an_edge = WORD_AT_THE_END.fullmatch(run) or WORD_AT_THE_START.fullmatch(run)
    return at_an_edge.groups() if at_an_edge else [run]


def folded(text):
    """As names are compared: NFC, upper and lower case alike."""
    return unicodedata.normalize('NFC', unicodedata.normalize('NFC', text).casefold())


def make_partners(ir_words, vi_words) -> bool:
    """Whether words at the same places of two names or paths tell infrared from visible, and never the reverse."""
    differing = [pair for pair in zip(ir_words, vi_words) if MODALITY[pair[0]] != MODALITY[pair[1]]]
    return (any(COMPANIONS.isdisjoint(pair) for pair in differing)
            and all(MODALITY[word] == 'ir' for word, _ in differing))


def modality_of(parts) -> Tuple[Optional[str], int]:
    """'ir', 'vi' or None, as the last of a path's parts says that has a word; and the number of that part."""
    for index in reversed(range(len(parts))):
        name = read_name(parts[index])
        if not OTHER_BANDS.isdisjoint(name.key):
            break
        if name.modalities:
            return (*name.modalities, index) if len(name.modalities) == 1 else (None, index)
    return None, -1


def swap_doubts(ir, vi):
    """A line if the names of two paths, or of the folders that hold them, say that they are swapped -> list."""
    says = [modality_of([*Path(path).resolve().parts[-3:-1], Path(path).stem])[0] for path in (ir, vi)]
    if Path(ir).resolve() == Path(vi).resolve() or says[0] == says[1] or says[0] != 'vi' and says[1] != 'ir':
        return []
    return [f'doubtful: their names say that {ir} and {vi}, given as ir and vi, are swapped']


def common_part(named, path) -> Optional[str]:
    """What stands for {} of `named` in a file's name, with or without its extension; None if it is not named so."""
    pattern = '(.+)'.join(re.escape(folded(part)) for part in named.split('{}'))
    match = re.fullmatch(pattern, folded(path.stem)) or re.fullmatch(pattern, folded(path.name))
    return match and match.group(1)

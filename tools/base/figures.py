"""How figures look and how they are written, for all that draws any."""
import contextlib
import functools
import warnings
from pathlib import Path

import matplotlib
import matplotlib.style
from matplotlib import font_manager
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tools.base.files import whole_file

DOTS_PER_INCH = 200
UNDATED = {'.png': {}, '.svg': {'Date': None}, '.pdf': {'CreationDate': None}}  # metadata for the same file each time
FILES = {'svg.hashsalt': '',   # else the names in an SVG are random
         'pdf.fonttype': 42}   # text in a PDF can be searched and edited
FONT = 'DejaVu Sans'  # matplotlib's own, which comes with it


@contextlib.contextmanager
def figure_style(size, texts=()):
    """A context to make figures in. size: of text and lines, a seaborn context such as 'paper' or 'notebook'.

    texts: what is written there in any script, such as names; they get fonts that have their characters.
    """
    import seaborn  # here, since it takes a second to load, which --help need not wait for
    style = {**seaborn.axes_style('whitegrid'), **seaborn.plotting_context(size),
             'axes.prop_cycle': matplotlib.cycler(color=seaborn.color_palette('colorblind')),
             'font.family': _fonts(frozenset(''.join(texts)))[0],
             'text.parse_math': False,  # a name with two $ in it is no formula
             **FILES}
    # Not in the style that the user's matplotlibrc sets
    with matplotlib.style.context(['default', style]), _silence_about_glyphs():
        yield


@functools.lru_cache(maxsize=None)
def _fonts(characters):
    """(Families of fonts, of which one has what those before it lack; the characters that no installed font has)."""
    families, missing = [FONT], set(map(ord, characters)) - _characters(font_manager.findfont(FONT))
    if missing:
        _list_new_fonts()
    fonts = [font for font in font_manager.fontManager.ttflist if (font.style, font.weight) == ('normal', 400)]
    while missing and fonts:
        best = max(fonts, key=lambda font: len(missing & _characters(font.fname)))
        if not missing & _characters(best.fname):
            break
        families.append(best.name)
        missing -= _characters(best.fname)
    return families, ''.join(map(chr, sorted(missing)))


@functools.lru_cache(maxsize=None)
def _list_new_fonts():
    """Tell matplotlib of fonts that were installed after it made its list, which it keeps."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in known:
            with contextlib.suppress(OSError, RuntimeError):  # what FreeType says of a damaged file
                font_manager.fontManager.addfont(file)


@functools.lru_cache(maxsize=None)
def _characters(file):
    return frozenset(font_manager.get_font(file).get_charmap())


@contextlib.contextmanager
def _silence_about_glyphs():
    """No warning for each character that fonts lack; see warn_of_missing_glyphs."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing from')
        yield


def label_log_axis(axes):
    """Plain numbers at a logarithmic y axis, also between the powers of ten where the axis spans few of them."""
    low, high = axes.get_ylim()
    if high < 2 * low:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    else:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.yaxis.set_minor_formatter(NullFormatter())


def fit_text(text, room, side='width'):
    """Reduce the size of a matplotlib text until its width or height fits so many inches. Returns the text."""
    needed = getattr(text.get_window_extent(), side) / text.figure.dpi
    if needed > room:
        text.set_fontsize(text.get_fontsize() * room / needed)
    return text


def warn_of_missing_glyphs(texts):
    """Give a warning, one for all, of the characters that no font has: boxes will stand for them."""
    missing = _fonts(frozenset(''.join(texts)))[1]
    if missing:
        warnings.warn(f'no font has the characters {missing}, figures show boxes for them: install one that has, '
                      'such as Noto Sans CJK', stacklevel=2)


def save_figure(figure, path, formats=('png', 'svg'), dots_per_inch=DOTS_PER_INCH):
    """Write a matplotlib figure as path.png and path.svg, the same figure as the same bytes; returns the paths.

    formats: some of png, svg and pdf. Each file is written whole or not at all: UserError if it cannot be.
    """
    paths = [Path(f'{path}.{name}') for name in formats]
    in_figure_style = FILES.items() <= dict(matplotlib.rcParams).items()
    with _silence_about_glyphs(), matplotlib.style.context(FILES if in_figure_style else ['default', FILES]):
        for target in paths:
            with whole_file(target) as temporary:
                figure.savefig(temporary, dpi=dots_per_inch, metadata=UNDATED[target.suffix])
    return paths

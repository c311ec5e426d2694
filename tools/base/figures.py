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
FONT = 'DejaVu Sans'  # comes with matplotlib
# For what it lacks: Chinese, Japanese and Korean; one of them is on most systems: on Linux, Windows and macOS in this order.
EAST_ASIAN_FONTS = (
    'Noto Sans CJK JP', 'Noto Sans CJK SC', 'Noto Sans SC', 'Noto Sans JP', 'Noto Sans KR', 'Noto Serif CJK JP', 'Noto Serif CJK SC',
    'Source Han Sans SC', 'WenQuanYi Micro Hei', 'WenQuanYi Zen Hei', 'Droid Sans Fallback', 'IPAGothic', 'NanumGothic',
    'Microsoft YaHei', 'SimHei', 'Yu Gothic', 'MS Gothic', 'Malgun Gothic',
    'Hiragino Sans GB', 'Hiragino Sans', 'Heiti TC', 'AppleGothic', 'Arial Unicode MS')


@contextlib.contextmanager
def figure_style(size):
    """A context to make figures in. size: of text and lines, a seaborn context such as 'paper' or 'notebook'."""
    import seaborn  # here, since it takes a second to load, which --help need not wait for
    style = {**seaborn.axes_style('whitegrid'), **seaborn.plotting_context(size),
             'axes.prop_cycle': matplotlib.cycler(color=seaborn.color_palette('colorblind')),
             'font.family': font_families(),
             'text.parse_math': False,  # a name with two $ in it is no formula
             **FILES}
    with matplotlib.style.context(['default', style]), _silence_about_glyphs():  # not in the style that the user's matplotlibrc sets
        yield


def font_families():
    """The names of the fonts for figures; what one lacks is taken from the next."""
    if not _installed():
        _list_new_fonts()
    return [FONT, *_installed()]


def font_for(text):
    """The file of the one font that has most characters of a text, for what cannot take them from several."""
    return min(map(_file, font_families()), key=lambda file: len(set(map(ord, text)) - _characters(file)))


def _installed():
    known = set(font_manager.get_font_names())
    return [font for font in EAST_ASIAN_FONTS if font in known]


@functools.lru_cache(maxsize=None)
def _list_new_fonts():
    """Tell matplotlib of fonts that were installed after it made its list, which it keeps."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in known:
            with contextlib.suppress(OSError, RuntimeError):  # what FreeType says of a damaged file
                font_manager.fontManager.addfont(file)


def _file(family):
    return font_manager.findfont(font_manager.FontProperties(family=[family]))


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


def warn_of_missing_glyphs(texts):
    """Give a warning, one for all, of the characters that no font of figures has: boxes will stand for them."""
    drawable = set().union(*map(_characters, map(_file, font_families())))
    missing = sorted({character for text in texts for character in text if ord(character) not in drawable})
    if missing:
        warnings.warn(f'no font has the characters {"".join(missing)}, figures show boxes for them: install one that has, '
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

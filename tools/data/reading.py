"""How the files of pairs are read: which belong together, what infrared values mean, where infrared lies on visible."""
from dataclasses import dataclass, fields, replace
from typing import Any, Optional

from tools.base.errors import UserError
from tools.data.alignment import aligned, read_align
from tools.data.images import fitted, read_gray, read_image
from tools.data.value_range import parse_range, range_text


@dataclass(frozen=True)
class Reading:
    """Made once of the settings (`reading_of`), noted with the results, and handed whole to all that reads pairs.

    ir_name, vi_name   how names are asked to pair, as '{}_nir' and '{}_rgb': what stands for {} must be the same.
                       Without both, words tell (tools/data/pairing.py)
    ir_range           which infrared values are black and white, as from `parse_range`; None: as the files have them
    resize             whether an infrared image of another size than the visible one is made to fit it
    align              how it is moved then: an Align, one for each as {infrared file or its name: Align}, or None

    UserError for a name that has no {}.
    """
    ir_name: Optional[str] = None
    vi_name: Optional[str] = None
    ir_range: Any = None
    resize: bool = False
    align: Any = None

    def __post_init__(self):
        for name in (self.ir_name, self.vi_name):
            if name is not None and name.count('{}') != 1:
                raise UserError('ir_name and vi_name need one {} for what the names have in common, as {}_nir; '
                                f'not {name!r}')

    @property
    def names(self):
        """How an infrared and a visible file are asked to be named; None if words tell."""
        return (self.ir_name or '{}', self.vi_name or '{}') if self.ir_name or self.vi_name else None

    def infrared(self, path, read=read_gray):
        """The image of an infrared file, with its range. read: of (file, range), as those of tools.data.images."""
        return read(path, self.ir_range)

    def align_of(self, path):
        """The Align of an infrared file, None if nothing is moved. UserError for one that is left out."""
        if not isinstance(self.align, dict):
            return self.align
        align = self.align.get(path) or self.align.get(path.name)
        if align is None:
            raise UserError(f'{path} was not aligned with the others: its displacement was not sure (--align each)')
        return align

    def moved(self, ir, visible, path):
        """The infrared image of the file `path`, H×W or H×W×3, made to fit the visible one and moved, if images are."""
        if self.resize or self.align:
            ir = fitted(ir, visible.shape)
        return aligned(ir, visible, self.align_of(path))

    def shown(self, ir, vi):
        """The infrared image of a pair of files as it is shown: with a range in gray, else as the file has it."""
        image = self.infrared(ir, read_gray if self.ir_range else read_image)
        return image if self.align is None else self.moved(image, read_image(vi), ir)

    def together_with(self, before):
        """What images are read by that are added to some that were read by `before`; None if that differs."""
        align = self.align
        if isinstance(align, dict) and isinstance(before.align, dict):
            align = {**before.align, **align}
        elif align != before.align:
            return None
        # Pairs that need no resizing are the same with it.
        both = replace(self, resize=self.resize or before.resize, align=align)
        return both if self.ir_range == before.ir_range else None

    def noted(self):
        """As JSON holds it, for `read_reading`."""
        content = dict(zip(('ir_name', 'vi_name'), self.names or ()))
        if self.ir_range:
            content['ir_range'] = range_text(self.ir_range)
        if self.align:
            each = isinstance(self.align, dict)
            content['align'] = {name: one.noted() for name, one in self.align.items()} if each else self.align.noted()
        return {**content, 'resize': self.resize}


AS_THEY_ARE = Reading()


def reading_of(settings):
    """The Reading that settings ask for, but for what `align` is still to find. UserError for values that cannot be."""
    given = {field.name: getattr(settings, field.name) for field in fields(Reading) if hasattr(settings, field.name)}
    return Reading(**{**given, 'ir_range': parse_range(given['ir_range']), 'align': None})


def read_reading(content):
    """The Reading of what `Reading.noted` gave, taken out of a dict with more. UserError or ValueError if none."""
    text, align = content.pop('ir_range', None), content.pop('align', None)
    return Reading(content.pop('ir_name', None), content.pop('vi_name', None), text and parse_range(text.split()),
                   bool(content.pop('resize', False)), align and read_align(align))

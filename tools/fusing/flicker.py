"""How much fused videos flicker, frame by frame with its own range and with one range for all
(--sequence of the fusing scripts).

python -m tools.fusing.flicker database/set00/V000 database/set00/V001     clips, each with lwir/ and visible/ in it

Writes a table as Markdown and CSV.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from tools.base.errors import UserError
from tools.base.files import write_text
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.base.tables import markdown_table, write_csv

PAGE = """# Flicker of fused videos

Made by `python -m tools.fusing.flicker`, with the weights that come with the repository. Mean changes from a frame to
the next, in gray levels: of a picture's mean, the largest of these changes, and of the pixels where neither source
changes. `own range`: each frame stretched from its own darkest to its brightest value, as the original does and
stills are; `one range`: `--sequence`.

{table}
"""


@dataclass
class Args:
    clips: List[str] = setting([], 'folders of clips, each with lwir/ and visible/ in it')
    frames: int = setting(12, 'the first frames of each clip', minimum=2)
    model: Optional[str] = setting(None, 'run folder or weights file of stage 2; none: the newest run, or the shipped '
                                         'weights')
    cuda: bool = setting(True, 'compute on the GPU if there is one')
    out: str = setting('./results/flicker', 'the folder for the table')


def main(arguments=None):
    settings = parse_settings(Args, __doc__, arguments)
    if not settings.clips:
        raise UserError('name the folders of some clips: --clips database/set00/V000')

    # Here, since Jittor takes seconds to load, and minutes the first time: what is wrong with
    # the settings is said at once.
    from tools.fusing.flickering import clips_below, measure
    from tools.fusing.fuser import load_fuser
    from tools.runtime import use_device

    print(f'computing on the {use_device(settings.cuda)}')
    table = measure(load_fuser(settings.model), clips_below(settings.clips), settings.frames)
    text = PAGE.format(table=markdown_table(list(table),
                                            [[f'{cell:.2f}' if isinstance(cell, float) else str(cell) for cell in row]
                                             for row in table.itertuples(index=False)], texts=3))
    write_csv(Path(settings.out, 'flicker.csv'), table)
    write_text(Path(settings.out, 'README.md'), text)
    print(text)


if __name__ == '__main__':
    run_script(main)

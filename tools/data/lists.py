"""Lists of training images: what a folder holds, by hash, and how to get the same again.

    python -m tools.data.lists make LIST --path FOLDER                       list the images of a folder (or several)
    python -m tools.data.lists check LIST --path FOLDER                      does the folder hold what the list says?
    python -m tools.data.lists rebuild LIST --sources FOLDER --path FOLDER   make the folder from published files (docs/data.md)
    python -m tools.data.lists divide LIST --validation set00/V000 --unused set06

`divide` says in the list which images are trained on. A list's format: tools/data/training_list.py.
"""
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

from tools.base.errors import UserError
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.base.wording import some
from tools.data.rebuilding import rebuild
from tools.data.test_images import warnings_of
from tools.data.training_list import PART, PARTS, check_list, divide, folder_of, make_list, read_list, write_list


@dataclass
class Args:
    action: str = setting('', 'what to do', positional=True, choices=('make', 'check', 'rebuild', 'divide'))
    list: str = setting('', 'the list, a file of tab-separated values', positional=True)
    path: List[str] = setting(['./database'], 'the folder with the images; of several, the list starts from what they have in common')
    sources: Optional[str] = setting(None, 'where the published files are, as OWNER/REPOSITORY/FILE')
    validation: List[str] = setting([], 'folders in the list that are kept for validation')
    unused: List[str] = setting([], 'folders in the list that are not used')


def main():
    settings = parse_settings(Args, __doc__)
    if settings.action == 'make':
        entries, report = make_list(settings.path)
        print(report)
        write_list(settings.list, entries)
        print(f'{len(entries)} lines: {settings.list}; their paths start from {folder_of(settings.path)}')
        print('\n'.join(warnings_of(entries)) or 'none of the known test images is among them')
        return 0
    entries = read_list(settings.list)
    if settings.action == 'divide':
        divide(entries, settings.validation, settings.unused)
        write_list(settings.list, entries)
        print(f'{settings.list}: ' + ', '.join(f'{sum(entry[PART] == part for entry in entries)} {part}' for part in PARTS))
        return 0
    if settings.action == 'check':
        problems = check_list(entries, folder_of(settings.path))
    elif settings.sources is None or len(settings.path) > 1:
        raise UserError('rebuild needs sources, the folder of what was downloaded, and one path, the folder to make')
    else:
        problems = rebuild(entries, Path(settings.sources), Path(settings.path[0]))
    fine = 'all is as the list says' if settings.action == 'check' else 'nothing of the list is missing'
    print('\n'.join(problems) or f'{some(settings.path)}: {fine}')
    return 1 if problems else 0


if __name__ == '__main__':
    run_script(main)

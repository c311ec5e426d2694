"""Lists of training images: what a folder holds, by hash, and how to get the same again.

    python training_list.py make LIST --path FOLDER                       list the images of a folder (or several)
    python training_list.py check LIST --path FOLDER                      does the folder hold what the list says?
    python training_list.py rebuild LIST --sources FOLDER --path FOLDER   make the folder from published files (docs/data.md)
    python training_list.py divide LIST --validation set00/V000 --unused set06

`divide` says in the list which images are trained on. A list's format: tools/data/training_list.py.
"""
from pathlib import Path

from args_tools import ListArgs
from tools.data.rebuilding import rebuild
from tools.data.test_images import warning_of
from tools.data.training_list import PART, PARTS, check_list, divide, folder_of, make_list, read_list, some, write_list
from tools.errors import UserError, run_script
from tools.settings import parse_settings


def main():
    settings = parse_settings(ListArgs, __doc__)
    if settings.action == 'make':
        entries, report = make_list(settings.path)
        print(report)
        write_list(settings.list, entries)
        print(f'{len(entries)} lines: {settings.list}; their paths start from {folder_of(settings.path)}')
        print(warning_of(entries) or 'none of the known test images is among them')
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

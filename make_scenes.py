"""Make scenes: synthetic infrared/visible pairs to train and test on where no data set is at hand."""
from pathlib import Path

from args_tools import SceneArgs
from tools.errors import run_script
from tools.scenes.folders import write_database, write_test_folders
from tools.settings import parse_settings


def main():
    settings = parse_settings(SceneArgs, __doc__)
    folder = Path(settings.folder)
    if settings.scenes:
        write_database(folder / 'database', settings.scenes, (settings.height, settings.width), settings.seed)
        print(f'{settings.scenes} pairs to train on: {folder / "database"}')
    gray, colour = write_test_folders(folder / 'images', settings.test_pairs, settings.seed)
    print(f'{settings.test_pairs} pairs each to test on: {gray}, {colour}')


if __name__ == '__main__':
    run_script(main)

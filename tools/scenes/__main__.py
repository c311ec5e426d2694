"""Make scenes: synthetic infrared/visible pairs to train and test on where no data set is at hand."""
from dataclasses import dataclass
from pathlib import Path

from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.scenes.folders import write_database, write_test_folders
from tools.scenes.places import MIN_SIZE


@dataclass
class Args:
    folder: str = setting('./demo', 'the folder to write into')
    scenes: int = setting(120, 'pairs to train on; 0: only test sets', minimum=0)
    height: int = setting(256, 'height of the pairs to train on', minimum=MIN_SIZE)
    width: int = setting(320, 'width of the pairs to train on', minimum=MIN_SIZE)
    test_pairs: int = setting(6, 'pairs in each of the two test sets', minimum=1)
    seed: int = setting(0, 'the same seed gives the same scenes', minimum=0)


def main():
    settings = parse_settings(Args, __doc__)
    folder = Path(settings.folder)
    if settings.scenes:
        write_database(folder / 'database', settings.scenes, (settings.height, settings.width), settings.seed)
        print(f'{settings.scenes} pairs to train on: {folder / "database"}')
    gray, colour = write_test_folders(folder / 'images', settings.test_pairs, settings.seed)
    print(f'{settings.test_pairs} pairs each to test on: {gray}, {colour}')


if __name__ == '__main__':
    run_script(main)

"""Fuse test sets in gray.

    python test_conv_trans.py --test_set 21_pairs_tno                  a folder in images/, with ir/ and vi/
    python test_conv_trans.py --ir DIR --vi DIR --out DIR              any two folders, or two files
    python test_conv_trans.py --ir DIR --vi DIR --align --sequence     frames of a video, from two displaced cameras
    python test_conv_trans.py --model FUSION --auto_ir FILE --auto_vi FILE

Settings: args_test.py. Without any, the newest trained network fuses 21_pairs_tno.
"""
from args_test import Args, ColorArgs
from tools.base.script import run_script
from tools.base.settings import parse_settings


def main():
    return fuse(parse_settings(Args, __doc__, others={'test_color_image.py': ColorArgs}), prefix='results_transfuse_')


def fuse(settings, prefix, **options):
    """Fuse what the settings name with the network that they name. Returns the exit code.

    options: of tools.fusing.folders.Options.
    """
    # Here, since Jittor takes seconds to load, and minutes the first time: what is wrong with the settings is
    # said at once.
    from tools.data.reading import reading_of
    from tools.fusing.folders import Options, find_test_sets, fuse_test_sets
    from tools.fusing.fuser import load_fuser
    from tools.runtime import use_device

    options = Options(prefix, reading_of(settings), overwrite=settings.overwrite, contact_sheet=settings.contact_sheet,
                      align=settings.align, sequence=settings.sequence, **options)
    test_sets = find_test_sets(settings.test_set, settings.images, settings.ir, settings.vi, options.reading)
    print(f'computing on the {use_device(settings.cuda)}')
    fuser = load_fuser(settings.model, settings.auto_ir, settings.auto_vi, settings.epoch, settings.models,
                       settings.deep_shares)
    print(fuser.model.describe())
    return fuse_test_sets(fuser, test_sets, settings.output, settings.out, options)


if __name__ == '__main__':
    run_script(main, shared=True)

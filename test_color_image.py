"""Fuse test sets whose visible images are in colour: the luma is fused, the chroma kept.

    python test_color_image.py --test_set M3FD_Fusion                  a folder in images/, with ir/ and vi/
    python test_color_image.py --ir DIR --vi DIR --out DIR             any two folders, or two files
    python test_color_image.py --features                              with pictures of the feature maps

Settings: args_test.py. Without any, the newest trained network fuses M3FD_Fusion.
"""
from args_test import ColorArgs
from test_conv_trans import fuse
from tools.base.script import run_script
from tools.base.settings import parse_settings


def main():
    settings = parse_settings(ColorArgs, __doc__)
    return fuse(settings, prefix='results_crossfuse_', color=True, features=settings.features)


if __name__ == '__main__':
    run_script(main, shared=True)

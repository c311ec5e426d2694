"""Write results/calibration: every metric beside the toolboxes that it was checked against, on the same real images."""
from args_tools import CalibrationArgs
from tools.errors import run_script
from tools.evaluation.calibration import calibrate, read_reference, write_calibration
from tools.settings import parse_settings


def main(arguments=None):
    settings = parse_settings(CalibrationArgs, __doc__, arguments)
    reference = read_reference(settings.reference)
    table = calibrate(reference, settings.folder)
    write_calibration(reference, table, settings.out)
    worst = table.loc[table['relative difference'].abs().idxmax()]
    print(f'{len(table)} values; the largest relative difference is {worst["relative difference"]:.1e}, of {worst["metric"]} from '
          f'{worst["implementation"]}: {settings.out}')


if __name__ == '__main__':
    run_script(main)

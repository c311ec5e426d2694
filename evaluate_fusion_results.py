"""Score fused images with the metrics of the field, or compare two fused folders image by image.

python evaluate_fusion_results.py                                                  the newest folder under output/
python evaluate_fusion_results.py --test_set 21_pairs_tno --metrics all            all folders fused from a test set
python evaluate_fusion_results.py --ir DIR --vi DIR --fused DIR DIR --names A B   any folders, one for each method
python evaluate_fusion_results.py --protocol all …                                 every toolbox's numbers beside ours
python evaluate_fusion_results.py --explain SD=73.47 …                      what gives this number on these images
python evaluate_fusion_results.py --lint table.md --ir DIR --vi DIR         what in a printed table cannot be, and why
python evaluate_fusion_results.py --fused DIR --check_against DIR                  how far two results are apart
"""
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import List, Optional

from tools.base.errors import UserError
from tools.base.mpi import FIRST
from tools.base.script import run_script
from tools.base.settings import parse_settings, setting
from tools.base.tables import write_csv
from tools.data.doubts import value_doubts
from tools.data.fused_folders import METRICS_FOLDER, Sources, find_fused_folders, noted_sources, sources_of
from tools.data.reading import reading_of
from tools.evaluation.explaining import answer_text, explain, parse_question
from tools.evaluation.lint import lint_file, shared_information
from tools.evaluation.noise import read_noise
from tools.evaluation.protocols import ALL_PROTOCOLS, DEFAULT_PROTOCOL, FIRST_METRICS, PROTOCOLS
from tools.evaluation.ranking import terminal_ranking, write_ranking
from tools.evaluation.report import fidelity_table, paired_tests, terminal_summary, write_tables, write_with_origin
from tools.evaluation.scoring import compare_folders, match_methods, name_methods, score_methods, select_metrics
from tools.evaluation.side_by_side import terminal_tables, write_metric_tables
from tools.runtime.processes import by_first


@dataclass
class Args:
    ir: Optional[str] = setting(None, 'folder of infrared images', aliases=('ir_dir',))
    vi: Optional[str] = setting(None, 'folder of visible images', aliases=('vis', 'vi_dir'))
    ir_name: Optional[str] = setting(None, 'how infrared files are named if words do not tell, as {}_nir; pairs have '
                                           '{} in common')
    vi_name: Optional[str] = setting(None, 'the same for visible files, as {}_rgb', aliases=('vis_name',))
    fused: List[str] = setting([], 'folders of fused images, one for each method; without any, those under `output`',
                               aliases=('fused_dir',))
    names: List[str] = setting([], 'names of the methods, if not those of their folders')
    test_set: Optional[str] = setting(None, 'a folder in `images`: score all under `output` that was fused from it')
    check_against: Optional[str] = setting(None, 'only compare the fused folder with this one, image by image')
    explain: List[str] = setting([],
                                 "only tell which definition or known mistake gives a printed number, such as SD=73.47")
    lint: List[str] = setting([], 'only check printed tables (.csv, .md, .tex) for numbers that cannot be, or need '
                                  'another definition')

    metrics: List[str] = setting(list(FIRST_METRICS), 'metrics to compute; all: the common ones; every: all there are')
    protocol: str = setting(DEFAULT_PROTOCOL,
                            "whose definitions: ours, a toolbox's with its mistakes, or all side by side",
                            choices=[*PROTOCOLS, ALL_PROTOCOLS])
    channels: bool = setting(False, 'score each colour channel and average, instead of the luma')

    noise: Optional[str] = setting(None, 'a CSV file of how far two runs of the same training are apart in each '
                                         'metric; means that are as close to the first method\'s get a mark')

    resize: bool = setting(False, 'make infrared images of another size fit the visible ones, as in fusing; --resize '
                                  'there is noted')
    ir_range: Optional[List[str]] = setting(None, 'values of infrared files to be made black and white: auto, each '
                                                  'image\'s own (but for 0.1 % of its pixels at each end), or LOW '
                                                  'HIGH; none: as noted in fusing')
    images: str = setting('images', 'folder of the test sets, each with folders such as ir/ and vi/')
    output: str = setting('output', 'folder below which fused folders are looked for')
    out: Optional[str] = setting(None, 'folder for the results; by default a new one in `output`/metrics')
    output_csv: Optional[str] = setting(None, 'write the scores of all images to this file, too')
    html: bool = setting(False, 'write a page with all images to flip through, to open in a browser')
    workers: int = setting(0, 'processes that score images; 0: one for each core', minimum=0)


def main(arguments=None):
    settings = parse_settings(Args, __doc__, arguments)
    if settings.lint:
        return lint(settings)
    folders = find_folders(settings)
    if settings.check_against:
        return check(settings, folders)
    return explain_numbers(settings, folders) if settings.explain else evaluate(settings, folders)


def find_folders(settings):
    """The fused folders to work on: those given, all of a test set, or the newest."""
    if settings.fused:
        return [Path(folder) for folder in settings.fused]
    found = find_fused_folders(settings.output, settings.images, settings.test_set)
    if not found:
        of_set = f' of the test set {settings.test_set}' if settings.test_set else ''
        raise UserError(f'no fused images{of_set} under {settings.output}: fuse some with test_conv_trans.py, '
                        'or give folders: --ir DIR --vi DIR --fused DIR')
    return found if settings.test_set else found[:1]


def evaluate(settings, folders):
    """Score the folders, write and show the tables. Returns the exit code."""
    if settings.html and settings.protocol == ALL_PROTOCOLS:
        raise UserError('--html shows one protocol: name one instead of all')
    noise = read_noise(settings.noise) if settings.noise else None
    if noise and settings.protocol != DEFAULT_PROTOCOL:
        raise UserError(f'--noise is of our definitions: it goes with protocol {DEFAULT_PROTOCOL}')
    metrics = select_metrics(settings.protocol, settings.metrics)
    methods = name_methods(folders, settings.names)
    sources = find_sources(settings, folders)
    pairing = sources.pairing()
    print(f'{pairing.describe()}\nscoring {", ".join(methods)} by {" ".join(metric.name for metric in metrics)}')
    for doubt in value_doubts(*pairing.files(), sources.reading):
        print(doubt)
    scores = score_methods(methods, pairing, settings.protocol, metrics, settings.channels, settings.workers,
                           sources.reading)
    if scores.table.isna().all(axis=None):
        raise UserError('nothing could be scored:\n' + '\n'.join(scores.problems))
    return by_first(write_results, settings, scores._replace(noise=noise), methods, pairing)


def write_results(settings, scores, methods, pairing):
    """Write and show the tables. Returns the exit code."""
    left = scores.table.index.unique('method')
    several = len(left) > 1
    out = results_folder(settings, f'{len(left)}_methods' if several else methods[left[0]].name)
    if settings.output_csv:
        write_with_origin(Path(settings.output_csv), scores.table, scores)
    if settings.protocol == ALL_PROTOCOLS:
        write_metric_tables(scores, out)
        print(f'\n{terminal_tables(scores)}\n\ntables: {out}')
        return exit_code(scores.problems)
    tests = paired_tests(scores)
    write_tables(scores, tests, out)
    text = terminal_summary(scores)
    if several:
        write_ranking(scores, tests, out)
        text += '\n\n' + terminal_ranking(scores, tests)
        from tools.evaluation.figures import draw_figures  # imported when needed: over a second
        draw_figures(scores, out)
    if settings.html:
        from tools.evaluation.page import write_page
        write_page(out / 'page.html', scores, tests, list(methods), pairing, match_methods(methods, pairing)[0])
    print(f'\n{text}\n\n{"tables, tests and figures" if several else "tables"}: {out}')
    return exit_code(scores.problems)


def explain_numbers(settings, folders):
    """Say what gives the printed numbers on the images of the folders. Returns the exit code."""
    questions = [parse_question(text) for text in settings.explain]
    methods, sources = name_methods(folders, settings.names), find_sources(settings, folders)
    pairing = sources.pairing()
    print(pairing.describe())
    problems = []
    for question in questions:
        answer = explain(question, methods, pairing, settings.workers, sources.reading)
        problems += [problem for problem in answer.problems if problem not in problems]
        print(f'\n{answer_text(question, answer)}')
    return exit_code(problems)


def lint(settings):
    """Say what in some printed tables cannot be, or needs another definition. Returns the exit
    code: 1 if there is anything."""
    shared = None
    if settings.ir or settings.vi:
        sources = find_sources(settings, [])
        shared = shared_information(sources.pairing(), sources.reading)
    problems, number = [], 0
    for path in settings.lint:
        try:
            findings = lint_file(path, shared)
        except UserError as error:
            problems.append(str(error))
            continue
        number += len(findings)
        print('\n'.join(f'{path}: {finding.text}' for finding in findings) or f'{path}: nothing found')
    return exit_code(problems) or min(number, 1)


def find_sources(settings, folders):
    """Where the source images are: as given, or as the folders or their names tell."""
    asked = reading_of(settings)
    if settings.ir and settings.vi:
        noted = filter(None, map(noted_sources, folders))
        return Sources(((Path(settings.ir), Path(settings.vi)),), as_noted(asked, [source.reading for source in noted]))
    if settings.ir or settings.vi:
        raise UserError('give both --ir and --vi, or neither')
    sources = [sources_of(folder, settings.images) for folder in folders]
    if None in sources:
        raise UserError('it is not known which images were fused: give their folders as --ir and --vi')
    if any(source.same() != sources[0].same() for source in sources):
        raise UserError('the folders were fused from different images, evaluate them separately: ' + '; '.join(
            f'{folder} from {source.describe()}' for folder, source in zip(folders, sources)))
    if not asked.names:
        asked = replace(asked, ir_name=sources[0].reading.ir_name, vi_name=sources[0].reading.vi_name)
    return sources[0]._replace(reading=as_noted(asked, [source.reading for source in sources]))


def as_noted(asked, noted):
    """How images are read: as asked, else as noted when they were fused. UserError if folders differ in that."""
    ranges = {one.ir_range for one in noted}
    if len(ranges) > 1 and asked.ir_range is None:
        raise UserError('the images were fused with different ir_range: give one for all, --ir_range auto or LOW HIGH')
    if any(one.align != noted[0].align for one in noted):
        raise UserError('infrared images were moved differently for these folders (align in sources.json): '
                        'evaluate them separately')
    return replace(asked, ir_range=asked.ir_range or next(iter(ranges), None), align=noted[0].align if noted else None,
                   resize=asked.resize or any(one.resize for one in noted))


def check(settings, folders):
    """Compare one fused folder with another, write and show the table. Returns the exit code."""
    if len(folders) > 1:
        raise UserError('--check_against compares one folder: give one --fused')
    results, problems = compare_folders(folders[0], settings.check_against, settings.workers)
    if results.empty:
        raise UserError('nothing could be compared:\n' + '\n'.join(problems))
    out = results_folder(settings, f'{folders[0].name}_against_{Path(settings.check_against).name}')
    by_first(write_csv, out / 'fidelity.csv', results)
    print(f'{folders[0]} against {settings.check_against}\n{fidelity_table(results)}\n\ntable: {out}')
    return exit_code(problems)


def results_folder(settings, title):
    return Path(settings.out or Path(settings.output, METRICS_FOLDER, f'{title}_{time.strftime("%Y%m%d_%H%M%S")}'))


def exit_code(problems):
    """Name what was left out; 1 if there was anything."""
    if problems and FIRST:
        print(f'\nleft out ({len(problems)}):\n  ' + '\n  '.join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == '__main__':
    run_script(main, shared=True)

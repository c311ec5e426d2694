"""--explain: which definition, handling or mistake gives a number; honest where none does."""
import cv2
import numpy as np
import pytest
from metric_functions import m
from scored_folders import SOURCES, picture, triple

from evaluate_fusion_results import main
from tools.base.errors import UserError
from tools.data.images import read_image, write_image
from tools.evaluation.explaining import definitions_of, handlings, known_mistakes, parse_question
from tools.evaluation.protocols import ALL_PROTOCOLS, base_name, metrics_of


def mean(compute):
    return np.mean([compute(*triple(i)) for i in range(1, 7)])


@pytest.mark.parametrize('metric, value, expected', [
    ('SD', lambda f, ir, vi: m.sd(f), 'protocol default, tang, cddfuse, vifb; luma'),
    ('sd', lambda f, ir, vi: m.sd(f) * f.size ** 0.5 / 255, 'protocol hli; luma'),
    ('SD', lambda f, ir, vi: cv2.equalizeHist(f).std(), 'protocol default, tang, cddfuse, vifb; fused image equalised'),
    ('MI', lambda f, ir, vi: m.mi(f, vi, vi) / 2, 'of the visible image only; luma'),
    ('SSIM', m.ssim, 'protocol default; luma'),
    ('psnr', lambda f, ir, vi: m.psnr(f, ir, vi) + 20 * np.log10(255), 'protocol tang, tang_2022_01; luma'),
    ('SF', lambda f, ir, vi: m.sf(f) / 255, 'protocol tang_2022_01; luma'),
])
def test_the_first_answer_is_what_gives_the_number(data, capsys, metric, value, expected):
    assert main([*SOURCES, '--fused', 'a', '--explain', f'{metric}={mean(value):.5f}']) == 0
    _, head, first, *others = capsys.readouterr().out.strip().splitlines()[-7:]
    assert f'{metric.upper()}=' in head and 'given by' in head and '0 off' not in head
    assert first.endswith(f'a, 6 images: {expected}') and len(others) == 4
    assert float(first.split()[0]) == pytest.approx(mean(value), abs=1e-3)
    assert not (data / 'out').exists()


def test_honest_where_none_fits(data, capsys):
    assert main([*SOURCES, '--fused', 'a', 'b', '--explain', 'EN=99.5', 'SD=-1']) == 0
    printed = capsys.readouterr().out
    assert 'EN=99.5: none gives this number' in printed and 'SD=-1: none gives' in printed and 'given by' not in printed
    distances = [float(line.split()[1]) for line in printed.split('EN=')[1].split('SD=')[0].splitlines() if ' off ' in line]
    assert len(distances) == 5 and distances == sorted(distances)


def test_a_number_fits_to_its_last_digit():
    assert parse_question('MI=13.68').accuracy == pytest.approx(0.005)
    assert parse_question('mse=2642').accuracy == 0.5
    assert parse_question('fmi-w=.5').metric == 'FMI_w' and parse_question('CE=1').metric == 'CE'


@pytest.mark.parametrize('text, message', [
    ('SD', 'takes METRIC=NUMBER, such as SD=73.47, not .SD.'), ('SD=x', 'takes METRIC=NUMBER'), ('SD=nan', 'takes METRIC=NUMBER'),
    ('XY=1', 'XY chosen; protocol all has: EN SD')])
def test_bad_questions(data, text, message):
    with pytest.raises(UserError, match=message):
        main([*SOURCES, '--fused', 'a', '--explain', text])


def test_colour_handling(data, capsys):
    for i in range(1, 7):
        write_image(data / f'd/IR{i}.png', picture(200 + i, channels=3))
    channels = np.mean([m.en(read_image(f'd/IR{i}.png')[:, :, k]) for i in range(1, 7) for k in range(3)])
    exchanged = lambda image: np.rint(image @ [0.114, 0.587, 0.299])
    swapped = np.mean([m.en(exchanged(read_image(f'd/IR{i}.png'))) for i in range(1, 7)])
    main([*SOURCES, '--fused', 'd', '--explain', f'EN={channels:.6f}', f'EN={swapped:.6f}'])
    channels_answer, swapped_answer = capsys.readouterr().out.split('The nearest:')[1:]
    assert 'colour channels, averaged' in channels_answer.splitlines()[1]
    assert 'luma, red and blue exchanged' in swapped_answer.splitlines()[1]


def test_all_images_on_16_to_235(tmp_path):
    """As video has them: black is 16, white 235."""
    paths = [tmp_path / f'{name}.png' for name in ('fused', 'ir', 'vis')]
    for path in paths:
        write_image(path, np.array([[0, 51, 102, 255]], np.uint8))
    (fused, *sources), = handlings(paths)['all images on 16…235']
    assert fused.tolist() == [[16, 60, 104, 235]] and all(np.array_equal(source, fused) for source in sources)


def test_bad_files_are_named(data, capsys):
    (data / 'a/results_transfuse_IR2.png').write_bytes(b'no image')
    (data / 'a/results_transfuse_IR3.png').unlink()
    assert main([*SOURCES, '--fused', 'a', '--explain', 'EN=7', 'SD=3']) == 1
    output = capsys.readouterr()
    assert 'left out (2)' in output.err and 'a, 4 images' in output.out
    with pytest.raises(UserError, match='nothing could be scored:\n(.*\n)+.*needs at least 161'):
        main([*SOURCES, '--fused', 'a', '--explain', 'MS-SSIM=0.5'])


def test_every_definition_is_told_apart_and_works():
    ir, vi = (picture(seed, 170, 180) for seed in range(2))
    images = np.minimum(ir // 2 + vi // 2, 250), ir, np.minimum(vi * 1.3, 255).astype(np.uint8)  # none of the mistakes is without effect
    for name in dict.fromkeys(map(base_name, metrics_of(ALL_PROTOCOLS, every=True))):
        values = {definition.text: definition.compute(*images) for definition in definitions_of(name)}
        assert len(values) == len(definitions_of(name)) and len(set(values.values())) == len(values), name
    assert {mistake.metric for mistake in known_mistakes()} <= set(map(base_name, metrics_of(ALL_PROTOCOLS)))

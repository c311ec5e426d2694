"""--align and --sequence of the fusing scripts: displaced infrared images, and frames of a video."""
import json
import sys

import numpy as np
import pytest
from fusion_runs import RUN, pair_of

import evaluate_fusion_results
import test_color_image
import test_conv_trans
from tools.base.errors import UserError
from tools.data.alignment import Align, aligned, read_align
from tools.data.displacement import mean_distance
from tools.data.fused_folders import noted_sources
from tools.data.images import list_images, luma, read_gray, read_image, write_image
from tools.fusing.fuser import load_fuser, scaled
from tools.fusing.sequences import RANGE_FILE, UNSCALED, common_range
from tools.scenes.places import make_scene

SIZE = 128, 160
BACK = Align(-9, 4)  # whole pixels: the scene is displaced without being interpolated


@pytest.fixture
def fuse(runs, monkeypatch, tmp_path):
    """Run a script on the folders ir and vi as its command line does -> the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, script=test_conv_trans):
        monkeypatch.setattr(sys, 'argv', ['script', '--cuda', 'false', '--models', str(runs), '--ir', 'ir', '--vi', 'vi', '--out', 'out',
                                          *arguments])
        return script.main()
    return run


def write_displaced(folder, number=2):
    for seed in range(number):
        ir, visible = make_scene(seed, *SIZE)
        write_image(folder / 'ir' / f'{seed}.png', np.roll(ir, (-4, 9), (0, 1)))
        write_image(folder / 'vi' / f'{seed}.png', luma(visible))


def write_clip(folder, frames=4, colour=False):
    """Frames of one scene that get brighter, and a spot in the last."""
    ir, vi = pair_of(40, 56)
    for frame in range(1, frames + 1):
        brighter = (vi * (0.6 + 0.1 * frame)).clip(0, 255).astype(np.uint8)
        hot = ir.copy()
        hot[:3, :3] = 255 if frame == frames else hot[:3, :3]
        write_image(folder / 'ir' / f'{frame}.png', hot)
        write_image(folder / 'vi' / f'{frame}.png', np.stack([brighter, vi, vi // 2], axis=2) if colour else brighter)


# ---- displaced pairs

def test_displaced_pairs_are_named_and_fused_as_they_are(fuse, fuser, tmp_path, capsys):
    write_displaced(tmp_path)
    assert fuse() == 0
    assert 'doubtful: infrared is displaced by about (9, -4) pixels in 2 of 2 pairs; --align mends that' in capsys.readouterr().out
    assert np.array_equal(read_gray(list_images(tmp_path / 'out')[0]), fuser(read_gray('ir/0.png'), read_gray('vi/0.png')))
    assert 'align' not in json.loads((tmp_path / 'out' / 'sources.json').read_text())


def test_aligned_pairs_are_fused_and_scored_alike(fuse, fuser, tmp_path, capsys):
    write_displaced(tmp_path)
    assert fuse('--align', '--contact_sheet') == 0
    assert 'infrared is moved by (-9.' in capsys.readouterr().out.replace('-8.9', '-9.')
    align = read_align(json.loads((tmp_path / 'out' / 'sources.json').read_text())['align'])
    assert mean_distance(align, SIZE, BACK) < 0.5 and noted_sources(tmp_path / 'out').reading.align == align
    ir, vi = read_gray('ir/0.png'), read_gray('vi/0.png')
    fused = read_gray(list_images(tmp_path / 'out')[0])
    assert np.array_equal(fused, fuser(aligned(ir, vi, align), vi))

    evaluate_fusion_results.main(['--fused', 'out', '--metrics', 'SCD', '--out', 'table', '--workers', '1', '--html'])
    assert 'infrared moved as in fusing' in capsys.readouterr().out
    from tools.fusion_metrics import scd
    rows = (tmp_path / 'table' / 'scores.csv').read_text().splitlines()
    assert any(f'{scd(*(image.astype(float) for image in (fused, aligned(ir, vi, align), vi))):.4g}'[:5] in row for row in rows)

    with pytest.raises(UserError, match='holds results of other images or settings'):
        fuse()
    assert fuse('--align') == 0 and f'as noted in {"out"}' in capsys.readouterr().out


def test_each_pair_by_itself_and_those_not_sure_left_out(fuse, tmp_path, capsys):
    write_displaced(tmp_path)
    write_image(tmp_path / 'ir' / '0.png', np.random.RandomState(0).randint(0, 256, SIZE, np.uint8))
    assert fuse('--align', 'each') == 1
    assert '0.png left out: it is uncertain how infrared is displaced' in capsys.readouterr().err
    noted = noted_sources(tmp_path / 'out').reading.align
    assert list(noted) == ['1.png'] and mean_distance(noted['1.png'], SIZE, BACK) < 0.5
    assert len(list_images(tmp_path / 'out')) == 1


def test_a_fuser_that_aligns(runs, fuser):
    ir, visible = make_scene(1, *SIZE)
    off, vi = np.roll(ir, (-4, 9), (0, 1)), luma(visible)
    given, by_itself = load_fuser(runs / RUN, align=BACK), load_fuser(runs / RUN, align='each')
    assert np.array_equal(given(off, vi), fuser(aligned(off.astype(np.float32), vi, BACK), vi))
    inner = slice(20, -20), slice(20, -20)
    expected = fuser(ir, vi)[inner].astype(float)
    assert np.abs(by_itself(off, vi)[inner] - expected).mean() < np.abs(fuser(off, vi)[inner] - expected).mean() / 2
    with pytest.raises(UserError, match='uncertain how the infrared image is displaced'):
        by_itself(np.random.RandomState(0).randint(0, 256, SIZE, np.uint8), vi)


# ---- frames of a video

def test_unscaled_frames_with_their_own_limits_are_the_stills(fuser):
    ir, vi = pair_of(40, 56)
    frame = fuser.unscaled(ir, vi).image
    assert frame.dtype == np.float32 and not 0 <= frame.min() < frame.max() <= 1
    still = scaled(frame, vi, frame.min(), frame.max())
    assert np.abs(still.astype(int) - fuser(ir, vi)).max() <= 1  # rounding before values are cut off to whole numbers
    with pytest.raises(UserError, match='a single value'):
        fuser.unscaled(np.full_like(ir, 7), np.full_like(ir, 9))


def test_the_range_of_many_frames_leaves_out_outliers():
    frames = [np.array([[-1., 2.]])] * 99 + [np.array([[-50., 80.]])]
    assert common_range(frames) == (-1, 2)


@pytest.mark.parametrize('script', [test_conv_trans, test_color_image])
def test_a_sequence_has_one_range(fuse, fuser, tmp_path, script):
    write_clip(tmp_path, colour=script is test_color_image)
    assert fuse('--sequence', script=script) == 0
    read = read_image if script is test_color_image else read_gray
    sources = [(read_gray(ir), read(vi)) for ir, vi in zip(list_images(tmp_path / 'ir'), list_images(tmp_path / 'vi'))]
    frames = [fuser.unscaled(*images).image for images in sources]
    found = json.loads((tmp_path / 'out' / RANGE_FILE).read_text())
    assert (found['low'], found['high']) == pytest.approx(common_range(frames)) and found['frames'] == 4
    for path, frame, (_, vi) in zip(list_images(tmp_path / 'out'), frames, sources):
        assert np.array_equal(read_image(path), scaled(frame, vi, found['low'], found['high']))
    assert not (tmp_path / 'out' / UNSCALED).exists()
    with pytest.raises(UserError, match='holds results of other images or settings'):
        fuse(script=script)


def test_a_sequence_that_was_stopped_goes_on_and_frames_can_be_added(fuse, tmp_path, monkeypatch):
    write_clip(tmp_path)
    fused = []
    unscaled = load_fuser.__globals__['Fuser'].unscaled

    def stopped_at_the_third(self, ir, vi):
        if len(fused) == 2:
            raise KeyboardInterrupt
        fused.append(ir)
        return unscaled(self, ir, vi)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr('tools.fusing.fuser.Fuser.unscaled', stopped_at_the_third)
        fuse('--sequence')
    kept = len(list((tmp_path / 'out' / UNSCALED).iterdir()))
    assert 0 < kept <= 2 and list_images(tmp_path / 'out') == []
    assert fuse('--sequence') == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir() if path.is_file()}
    assert len(list_images(tmp_path / 'out')) == 4

    write_clip(tmp_path, frames=5)
    assert fuse('--sequence') == 0 and len(list_images(tmp_path / 'out')) == 5
    assert all((tmp_path / 'out' / name).read_bytes() == content for name, content in before.items())

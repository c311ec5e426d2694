"""Pairing infrared, visible and fused files by their names."""
import pytest
from conftest import SHARED_DATA

from tools.base.errors import UserError
from tools.data.pairing import match_fused, pair_folders
from tools.data.reading import Reading


@pytest.fixture
def folders(tmp_path):
    """Makes the folders ir/ and vis/ with empty files of the given names; pairing looks at names only."""
    def make(ir, vi):
        for folder, names in (('ir', ir), ('vis', vi)):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / name).touch()
        return tmp_path / 'ir', tmp_path / 'vis'
    return make


def names(pairs):
    return [(pair.name, pair.ir.name, pair.vi.name) for pair in pairs]


@pytest.mark.parametrize('ir, vi, rule', [
    ('IR1.png', 'VIS1.png', 'IR1 ↔ VIS1'),
    ('IR_hill.png', 'vi_hill.bmp', 'IR_hill ↔ vi_hill'),
    ('ir7.PNG', 'VI7.jpg', 'ir7 ↔ VI7'),
    ('00370.png', '00370.png', 'same name, any extension'),
    ('00370.png', '00370.JPG', 'same name, any extension'),
    ('IR1.png', 'IR1.png', 'same name, any extension'),
    ('a.b.png', 'a.b.tif', 'same name, any extension'),
    ('hill_ir.png', 'hill_vis.png', 'hill_ir ↔ hill_vis'),
    ('hill-IR.png', 'hill-vi.jpg', 'hill-IR ↔ hill-vi'),
    ('I00000_lwir.png', 'I00000_visible.png', 'I00000_lwir ↔ I00000_visible'),
    ('lwir_3.png', 'visible_3.png', 'lwir_3 ↔ visible_3'),
    ('set00_lwir_I3.png', 'set00_visible_I3.png', 'set00_lwir_I3 ↔ set00_visible_I3'),
    ('IR_meting003_g.bmp', 'VIS_meting003_r.bmp', 'IR_meting003_g ↔ VIS_meting003_r'),
    ('IR_hei_vis_g.bmp', 'VIS_hei_vis_r.bmp', 'IR_hei_vis_g ↔ VIS_hei_vis_r'),
    ('IR_bunker_g.bmp', 'bunker_r.bmp', 'IR_bunker_g ↔ bunker_r'),
    ('LWIR.tif', 'Vis.tif', 'LWIR ↔ Vis'),
    ('FLIR_00002_PreviewData.jpeg', 'FLIR_00002_RGB.jpg', 'FLIR_00002_PreviewData ↔ FLIR_00002_RGB'),
    ('carLight_ir.png', 'carLight_vis.png', 'carLight_ir ↔ carLight_vis'),
    ('carLight_ir.png', 'carLight.png', 'carLight_ir ↔ carLight'),
    ('1.png', 'vis_1.png', '1 ↔ vis_1'),
    ('DJI_0001_T.JPG', 'DJI_0001_W.JPG', 'DJI_0001_T ↔ DJI_0001_W'),
    ('00001T.png', '00001W.png', '00001T ↔ 00001W'),
    ('Thermal-7.png', 'Visual-7.png', 'Thermal-7 ↔ Visual-7'),
    ('videoIR_3.pgm', 'videoVis_3.webp', 'videoIR_3 ↔ videoVis_3'),
    ('set_II_tir.jp2', 'set_II_rgb.png', 'set_II_tir ↔ set_II_rgb'),
    ('B\u00e4ume_fir.png', 'Ba\u0308ume_RGB.png', 'B\u00e4ume_fir ↔ Ba\u0308ume_RGB'),
    ('a_inf_b.png', 'A_W_B.png', 'a_inf_b ↔ A_W_B'),
])
def test_rules(folders, ir, vi, rule):
    ir_dir, vi_dir = folders([ir], [vi])
    pairing = pair_folders(ir_dir, vi_dir)
    assert names(pairing.pairs) == [(ir, ir, vi)]
    assert pairing.pairs[0].ir == ir_dir / ir and pairing.pairs[0].vi == vi_dir / vi
    assert pairing.rule == rule
    assert pairing.unpaired == []
    assert rule in pairing.describe()


@pytest.mark.parametrize('ir, vi', [('IR1.png', 'VIS2.png'), ('1.png', '2.png'), ('hill_ir.png', 'dale_vis.png'),
                                     ('VIS1.png', 'IR1.png'), ('hill_vis.png', 'hill_ir.png'),
                                     ('iris.png', 'virus.png'), ('0_nir.png', '0_rgb.png'), ('II_a.png', 'VIS_a.png'),
                                     ('near_infrared_1.png', 'visible_1.png'), ('NIR.tif', 'Vis.tif'),
                                     ('a_g.png', 'a_r.png'), ('IR1.png', 'VIS01.png')])
def test_nothing_paired_is_an_error_that_names_files(folders, ir, vi):
    with pytest.raises(UserError) as error:
        pair_folders(*folders([ir], [vi]))
    assert ir in str(error.value) and vi in str(error.value)


def test_empty_and_missing_folders(folders, tmp_path):
    ir_dir, vi_dir = folders(['notes.txt'], ['1.png'])
    with pytest.raises(UserError, match='no images'):
        pair_folders(ir_dir, vi_dir)
    with pytest.raises(UserError, match='nowhere'):
        pair_folders(ir_dir, tmp_path / 'nowhere')


def test_order_is_natural_and_leftovers_are_listed(folders):
    ir_dir, vi_dir = folders(['IR10.png', 'IR2.png', 'IR1.png', 'IR99.png'],
                              ['VIS1.png', 'VIS2.png', 'VIS10.png', 'other.jpg'])
    pairing = pair_folders(ir_dir, vi_dir)
    assert [pair.name for pair in pairing.pairs] == ['IR1.png', 'IR2.png', 'IR10.png']
    assert pairing.unpaired == [ir_dir / 'IR99.png', vi_dir / 'other.jpg']
    assert pairing.describe().splitlines() == ['3 pairs found by the rule: IR1 ↔ VIS1, 2 without a partner:',
                                               f'  {ir_dir / "IR99.png"}', f'  {vi_dir / "other.jpg"}']


def test_mixed_names_say_each_rule(folders):
    pairing = pair_folders(*folders(['IR1.png', 'IR2.png', 'z.png'], ['VIS1.png', 'VIS2.png', 'z.jpg']))
    assert [pair.name for pair in pairing.pairs] == ['IR1.png', 'IR2.png', 'z.png']
    assert pairing.rule == 'IR1 ↔ VIS1 (2), same name, any extension (1)'


@pytest.mark.parametrize('ir, vi, named', [
    (['IR1.png'], ['VIS1.png', 'VI1.png'], 'IR1.png'),
    (['IR1.png'], ['RGB1.png', 'W1.png'], 'IR1.png'),
    (['a_ir.png'], ['a.png', 'visible-a.png'], 'a_ir.png'),
    (['a_ir.png', 'a_thermal.png'], ['a_vis.png'], 'a_vis.png'),
    (['IR1.png'], ['VIS1.png', 'VIS1.jpg'], 'IR1.png'),
    (['a.png'], ['a.jpg', 'a.bmp'], 'a.png'),
    (['a.png'], ['a.png', 'a.jpg'], 'a.png'),
    (['IR1.png', 'IR1.jpg'], ['VIS1.png'], 'VIS1.png'),
    (['IR1.png'], ['IR1.png', 'VIS1.png'], 'IR1.png'),
    (['IR1.png', 'VIS1.png'], ['VIS1.png'], 'VIS1.png'),
])
def test_two_candidates_are_an_error(folders, ir, vi, named):
    with pytest.raises(UserError, match='2 candidates') as error:
        pair_folders(*folders(ir, vi))
    assert named in str(error.value)
    assert all(name in str(error.value) for name in (ir + vi if len(ir + vi) == 3 else []))


def test_one_folder_with_both_never_pairs_an_image_with_itself(folders):
    folder, _ = folders(['1_ir.png', '1_vis.png', '2_ir.png', '2_vis.png', 'plain.png'], [])
    pairing = pair_folders(folder, folder)
    assert names(pairing.pairs) == [('1_ir.png', '1_ir.png', '1_vis.png'), ('2_ir.png', '2_ir.png', '2_vis.png')]
    assert pairing.unpaired == [folder / 'plain.png']


def test_one_folder_of_tno(folders):
    folder, _ = folders(['II_bunker.bmp', 'IR_bunker_g.bmp', 'bunker_r.bmp', 'IR_hei_vis_g.bmp', 'VIS_hei_vis_r.bmp', 'NIR_hei_vis.bmp',
                         'plain_rgb.bmp', 'plain.bmp'], [])
    pairing = pair_folders(folder, folder)
    assert names(pairing.pairs) == [('IR_bunker_g.bmp', 'IR_bunker_g.bmp', 'bunker_r.bmp'),
                                    ('IR_hei_vis_g.bmp', 'IR_hei_vis_g.bmp', 'VIS_hei_vis_r.bmp')]
    assert {path.name for path in pairing.unpaired} == {'II_bunker.bmp', 'NIR_hei_vis.bmp', 'plain_rgb.bmp', 'plain.bmp'}


@pytest.mark.parametrize('ir, vi, names_asked_for', [
    ('0_nir.tiff', '0_rgb.tiff', ('{}_nir', '{}_rgb')), ('0_nir.tiff', '0_rgb.tiff', ('{}_NIR.TIFF', '{}_rgb.tiff')),
    ('cam1 (7).png', 'cam2 [7].png', ('cam1 ({})', 'cam2 [{}]')), ('7_x.png', '7.png', ('{}_x', None)),
])
def test_names_as_asked_for(folders, ir, vi, names_asked_for):
    ir_dir, vi_dir = folders([ir, 'other.png'], [vi, 'other.png'])
    pairing = pair_folders(ir_dir, vi_dir, Reading(*names_asked_for))
    assert names(pairing.pairs) == [(ir, ir, vi)]
    assert pairing.unpaired == [ir_dir / 'other.png', vi_dir / 'other.png']
    with pytest.raises(UserError, match='need one {}'):
        Reading('_nir', '{}_rgb')


def test_names_as_asked_for_in_one_folder(folders):
    folder, _ = folders(['0_nir.tiff', '0_rgb.tiff', '1_rgb.tiff'], [])
    pairing = pair_folders(folder, folder, Reading('{}_nir', '{}_rgb'))
    assert names(pairing.pairs) == [('0_nir.tiff', '0_nir.tiff', '0_rgb.tiff')]
    with pytest.raises(UserError, match='ir_name'):
        pair_folders(folder, folder)


def test_swapped_folders_are_doubted(folders, tmp_path):
    ir_dir, vi_dir = folders(['1.png'], ['1.png'])
    assert 'are swapped' not in pair_folders(ir_dir, vi_dir).describe()
    swapped = pair_folders(vi_dir, ir_dir)
    assert len(swapped.pairs) == 1 and swapped.describe().count('given as ir and vi, are swapped') == 1
    for folder in (ir_dir, vi_dir):
        (folder / 'train').mkdir()
        (folder / 'train' / '1.png').touch()
    assert 'are swapped' in pair_folders(vi_dir / 'train', ir_dir / 'train').describe()
    assert 'are swapped' in pair_folders(vi_dir / '1.png', ir_dir / '1.png').describe()
    assert 'are swapped' not in pair_folders(ir_dir / '1.png', vi_dir / '1.png').describe()
    (ir_dir / '1.png').rename(ir_dir / 'IR1.png')
    (vi_dir / '1.png').rename(vi_dir / 'VIS1.png')
    with pytest.raises(UserError, match='seem to be swapped'):
        pair_folders(vi_dir, ir_dir)


def test_other_files_are_counted(folders):
    ir_dir, vi_dir = folders(['1.png', '1.npy', '2.npy', 'notes.txt', '.hidden'], ['1.png'])
    text = pair_folders(ir_dir, vi_dir).describe()
    assert f'{ir_dir}: 3 other files (2 .npy, 1 .txt) passed over' in text and str(vi_dir) not in text


def test_what_is_there_instead_is_said(folders):
    ir_dir, vi_dir = folders(['1.npy', '2.npy'], ['1.png'])
    (ir_dir / 'train').mkdir()
    with pytest.raises(UserError, match=r'no images, 2 other files \(2 .npy\), folders train'):
        pair_folders(ir_dir, vi_dir)


def test_one_folder_without_marked_names(folders):
    folder, _ = folders(['1.png', '2.png'], [])
    with pytest.raises(UserError, match='no infrared image'):
        pair_folders(folder, folder)


def test_two_files(folders):
    ir_dir, vi_dir = folders(['left.png'], ['right.jpg'])
    pairing = pair_folders(ir_dir / 'left.png', vi_dir / 'right.jpg')
    assert names(pairing.pairs) == [('left.png', 'left.png', 'right.jpg')]
    with pytest.raises(UserError, match='both'):
        pair_folders(ir_dir / 'left.png', ir_dir / 'left.png')
    with pytest.raises(UserError, match='two folders or two files'):
        pair_folders(ir_dir, vi_dir / 'right.jpg')


@pytest.mark.parametrize('fused', ['results_transfuse_IR1.png', 'results_crossfuse_IR1.png',
                                   'results_crossfuse_VIS1.png', 'IR1.png', 'IR1.bmp', 'VIS1.jpg', 'ir1.tif'])
def test_fused_names(folders, tmp_path, fused):
    pairs = pair_folders(*folders(['IR1.png', 'IR11.png'], ['VIS1.png', 'VIS11.png'])).pairs
    out = tmp_path / 'out'
    out.mkdir()
    (out / fused).touch()
    (out / 'cross_IR1.png').touch()  # a feature picture, no fused image
    match = match_fused(pairs, out)
    assert match.paths == {'IR1.png': out / fused}
    assert match.missing == [pairs[1]]
    assert match.unmatched == [out / 'cross_IR1.png']


@pytest.mark.parametrize('fused', [
    '{}_recover', 'fused_{}', 'results of CDDFuse {} v2', 'epoch3_{}', 'FUSED-{}'])
@pytest.mark.parametrize('called', ['ir', 'vi', 'bare', 'number'])
@pytest.mark.parametrize('ir, vi', [('IR{}', 'VIS{}'), ('{}_ir', '{}_vis'), ('IR{}', '{}')])
def test_one_text_around_all_names_is_taken_off(folders, tmp_path, fused, called, ir, vi):
    numbers = [1, 2, 3, 11, 12, 21]
    pairs = pair_folders(*folders([ir.format(n) + '.png' for n in numbers], [vi.format(n) + '.png' for n in numbers])).pairs
    out = tmp_path / 'out'
    out.mkdir()
    way = {'ir': ir, 'vi': vi, 'bare': '{}', 'number': '{:04d}'}[called]
    if called == 'number':
        fused = '{}'
    for n in numbers[:-1]:
        (out / (fused.format(way.format(n)) + '.bmp')).touch()
    (out / 'readme figure.png').touch()
    match = match_fused(pairs, out)
    assert {name: path.name for name, path in match.paths.items()} == {
        ir.format(n) + '.png': fused.format(way.format(n)) + '.bmp' for n in numbers[:-1]}
    assert match.missing == [pair for pair in pairs if '21' in pair.name]
    assert [path.name for path in match.unmatched] == ['readme figure.png']


def test_names_of_scenes(folders, tmp_path):
    scenes = ['carLight', 'carWhite', 'man', 'manlight', 'walking2']
    pairs = pair_folders(*folders([f'{scene}_ir.png' for scene in scenes], [f'{scene}_vi.png' for scene in scenes])).pairs
    out = tmp_path / 'out'
    out.mkdir()
    for scene in scenes:
        (out / f'{scene}_CDDFuse.png').touch()
    assert {name: path.name for name, path in match_fused(pairs, out).paths.items()} == {
        f'{scene}_ir.png': f'{scene}_CDDFuse.png' for scene in scenes}


def test_names_without_the_word(folders, tmp_path):
    pairs = pair_folders(*folders(['a_ir.png', 'b_ir.png'], ['a_vi.png', 'b_vi.png'])).pairs
    (tmp_path / 'out').mkdir()
    for name in 'ab':
        (tmp_path / 'out' / f'{name}.png').touch()
    paths = match_fused(pairs, tmp_path / 'out').paths
    assert {name: path.name for name, path in paths.items()} == {'a_ir.png': 'a.png', 'b_ir.png': 'b.png'}


@pytest.mark.parametrize('fused', [['IR1_a', 'IR1_b', 'IR2_a', 'IR2_b'], ['1_a', '1_b'], ['3', '4'], ['one', 'two']])
def test_fused_names_that_do_not_tell(folders, tmp_path, fused):
    pairs = pair_folders(*folders(['IR1.png', 'IR2.png'], ['VIS1.png', 'VIS2.png'])).pairs
    (tmp_path / 'out').mkdir()
    for name in fused:
        (tmp_path / 'out' / f'{name}.png').touch()
    with pytest.raises(UserError, match='two fused images for IR1.png|is named like one of the pairs'):
        match_fused(pairs, tmp_path / 'out')


def test_what_a_minority_has_before_its_names_is_no_rule(folders, tmp_path):
    scenes = ['hill', 'lake', 'road']
    pairs = pair_folders(*folders([f'{scene}_ir.png' for scene in scenes], [f'{scene}_vi.png' for scene in scenes])).pairs
    (tmp_path / 'out').mkdir()
    for name in ('mask_hill_ir', 'a', 'b', 'c'):
        (tmp_path / 'out' / f'{name}.png').touch()
    with pytest.raises(UserError, match='is named like one of the pairs'):
        match_fused(pairs, tmp_path / 'out')


def test_ambiguous_fused_images(folders, tmp_path):
    pairs = pair_folders(*folders(['IR1.png', 'IR2.png'], ['VIS1.png', 'VIS2.png'])).pairs
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'IR1.png').touch()
    (out / 'results_transfuse_IR1.png').touch()
    with pytest.raises(UserError, match='two fused images for IR1.png'):
        match_fused(pairs, out)

    crossed = [pairs[0]._replace(vi=pairs[1].ir), pairs[1]]
    (out / 'IR1.png').rename(out / 'IR2.png')
    with pytest.raises(UserError, match='could be the fused image of'):
        match_fused(crossed, out)


def test_no_fused_image_fits(folders, tmp_path):
    pairs = pair_folders(*folders(['IR1.png'], ['VIS1.png'])).pairs
    out = tmp_path / 'out'
    out.mkdir()
    with pytest.raises(UserError, match='no images'):
        match_fused(pairs, out)
    (out / 'something.png').touch()
    with pytest.raises(UserError, match='something.png'):
        match_fused(pairs, out)


def made_test_set(folder):
    """Empty files named as the TNO set's and as the original's fused images of it."""
    for index in range(1, 22):
        for name in (f'ir/IR{index}.png', f'vis/VIS{index}.png', f'fused/results_transfuse_IR{index}.png'):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
    return folder


TEST_SETS = [('made', 21, 'IR1 ↔ VIS1')]
FUSED_FOLDERS = ['made']
if SHARED_DATA:
    TEST_SETS += [('21_pairs_tno', 21, 'IR1 ↔ VIS1'), ('M3FD_Fusion', 7, 'same name, any extension')]
    FUSED_FOLDERS += ['crossfuse_pytorch', 'lrrnet', 'rfnnest']


@pytest.mark.parametrize('set_name, count, rule', TEST_SETS)
def test_whole_sets(tmp_path, set_name, count, rule):
    folder = made_test_set(tmp_path) if set_name == 'made' else SHARED_DATA / 'images' / set_name
    pairing = pair_folders(folder / 'ir', folder / 'vis')
    assert (len(pairing.pairs), pairing.rule, pairing.unpaired) == (count, rule, [])


@pytest.mark.parametrize('method', FUSED_FOLDERS)
def test_whole_fused_folders(tmp_path, method):
    if method == 'made':
        folder, fused = made_test_set(tmp_path), tmp_path / 'fused'
    else:
        folder, fused = SHARED_DATA / 'images/21_pairs_tno', SHARED_DATA / 'results_of_others' / method
    match = match_fused(pair_folders(folder / 'ir', folder / 'vis').pairs, fused)
    assert len(match.paths) == 21 and match.missing == [] and match.unmatched == []
    assert match.paths['IR2.png'].stem.endswith('IR2')

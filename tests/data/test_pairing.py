"""Pairing infrared, visible and fused files by their names."""
import pytest
from conftest import SHARED_DATA

from tools.data.pairing import match_fused, pair_folders
from tools.errors import UserError


@pytest.fixture
def folders(tmp_path):
    """Makes the folders ir/ and vis/ with empty files of the given names; pairing looks at names only."""
    def make(ir, vis):
        for folder, names in (('ir', ir), ('vis', vis)):
            (tmp_path / folder).mkdir()
            for name in names:
                (tmp_path / folder / name).touch()
        return tmp_path / 'ir', tmp_path / 'vis'
    return make


def names(pairs):
    return [(pair.name, pair.ir.name, pair.vis.name) for pair in pairs]


@pytest.mark.parametrize('ir, vis, rule', [
    ('IR1.png', 'VIS1.png', 'IR1 ↔ VIS1'),
    ('IR_hill.png', 'vi_hill.bmp', 'IR1 ↔ VIS1'),
    ('ir7.PNG', 'VI7.jpg', 'IR1 ↔ VIS1'),
    ('00370.png', '00370.png', 'same name, any extension'),
    ('00370.png', '00370.JPG', 'same name, any extension'),
    ('IR1.png', 'IR1.png', 'same name, any extension'),
    ('a.b.png', 'a.b.tif', 'same name, any extension'),
    ('hill_ir.png', 'hill_vis.png', 'NAME_ir ↔ NAME_vis'),
    ('hill-IR.png', 'hill-vi.jpg', 'NAME_ir ↔ NAME_vis'),
    ('I00000_lwir.png', 'I00000_visible.png', 'lwir ↔ visible'),
    ('lwir_3.png', 'visible_3.png', 'lwir ↔ visible'),
    ('set00_lwir_I3.png', 'set00_visible_I3.png', 'lwir ↔ visible'),
])
def test_rules(folders, ir, vis, rule):
    ir_dir, vis_dir = folders([ir], [vis])
    pairing = pair_folders(ir_dir, vis_dir)
    assert names(pairing.pairs) == [(ir, ir, vis)]
    assert pairing.pairs[0].ir == ir_dir / ir and pairing.pairs[0].vis == vis_dir / vis
    assert pairing.rule == rule
    assert pairing.unpaired == []
    assert rule in pairing.describe()


@pytest.mark.parametrize('ir, vis', [('IR1.png', 'VIS2.png'), ('1.png', '2.png'), ('hill_ir.png', 'dale_vis.png'),
                                     ('VIS1.png', 'IR1.png'), ('hill_vis.png', 'hill_ir.png'),
                                     ('iris.png', 'virus.png')])
def test_nothing_paired_is_an_error_that_names_files(folders, ir, vis):
    with pytest.raises(UserError) as error:
        pair_folders(*folders([ir], [vis]))
    assert ir in str(error.value) and vis in str(error.value)


def test_empty_and_missing_folders(folders, tmp_path):
    ir_dir, vis_dir = folders(['notes.txt'], ['1.png'])
    with pytest.raises(UserError, match='no images'):
        pair_folders(ir_dir, vis_dir)
    with pytest.raises(UserError, match='nowhere'):
        pair_folders(ir_dir, tmp_path / 'nowhere')


def test_order_is_natural_and_leftovers_are_listed(folders):
    ir_dir, vis_dir = folders(['IR10.png', 'IR2.png', 'IR1.png', 'IR99.png'],
                              ['VIS1.png', 'VIS2.png', 'VIS10.png', 'other.jpg'])
    pairing = pair_folders(ir_dir, vis_dir)
    assert [pair.name for pair in pairing.pairs] == ['IR1.png', 'IR2.png', 'IR10.png']
    assert pairing.unpaired == [ir_dir / 'IR99.png', vis_dir / 'other.jpg']
    assert pairing.describe().splitlines() == ['3 pairs by the rule: IR1 ↔ VIS1, 2 without a partner:',
                                               f'  {ir_dir / "IR99.png"}', f'  {vis_dir / "other.jpg"}']


def test_mixed_names_say_each_rule(folders):
    pairing = pair_folders(*folders(['IR1.png', 'IR2.png', 'z.png'], ['VIS1.png', 'VIS2.png', 'z.jpg']))
    assert [pair.name for pair in pairing.pairs] == ['IR1.png', 'IR2.png', 'z.png']
    assert pairing.rule == 'IR1 ↔ VIS1 (2), same name, any extension (1)'


@pytest.mark.parametrize('ir, vis, named', [
    (['IR1.png'], ['VIS1.png', 'VI1.png'], 'IR1.png'),
    (['IR1.png'], ['VIS1.png', 'VIS1.jpg'], 'IR1.png'),
    (['a.png'], ['a.jpg', 'a.bmp'], 'a.png'),
    (['a.png'], ['a.png', 'a.jpg'], 'a.png'),
    (['IR1.png', 'IR1.jpg'], ['VIS1.png'], 'VIS1.png'),
    (['IR1.png'], ['IR1.png', 'VIS1.png'], 'IR1.png'),
    (['IR1.png', 'VIS1.png'], ['VIS1.png'], 'VIS1.png'),
])
def test_two_candidates_are_an_error(folders, ir, vis, named):
    with pytest.raises(UserError, match='2 candidates') as error:
        pair_folders(*folders(ir, vis))
    assert named in str(error.value)
    assert all(name in str(error.value) for name in (ir + vis if len(ir + vis) == 3 else []))


def test_one_folder_with_both_never_pairs_an_image_with_itself(folders):
    folder, _ = folders(['1_ir.png', '1_vis.png', '2_ir.png', '2_vis.png', 'plain.png'], [])
    pairing = pair_folders(folder, folder)
    assert names(pairing.pairs) == [('1_ir.png', '1_ir.png', '1_vis.png'), ('2_ir.png', '2_ir.png', '2_vis.png')]
    assert pairing.unpaired == [folder / 'plain.png']


def test_one_folder_without_marked_names(folders):
    folder, _ = folders(['1.png', '2.png'], [])
    with pytest.raises(UserError, match='no infrared image'):
        pair_folders(folder, folder)


def test_two_files(folders):
    ir_dir, vis_dir = folders(['left.png'], ['right.jpg'])
    pairing = pair_folders(ir_dir / 'left.png', vis_dir / 'right.jpg')
    assert names(pairing.pairs) == [('left.png', 'left.png', 'right.jpg')]
    with pytest.raises(UserError, match='both'):
        pair_folders(ir_dir / 'left.png', ir_dir / 'left.png')
    with pytest.raises(UserError, match='two folders or two files'):
        pair_folders(ir_dir, vis_dir / 'right.jpg')


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


def test_ambiguous_fused_images(folders, tmp_path):
    pairs = pair_folders(*folders(['IR1.png', 'IR2.png'], ['VIS1.png', 'VIS2.png'])).pairs
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'IR1.png').touch()
    (out / 'results_transfuse_IR1.png').touch()
    with pytest.raises(UserError, match='two fused images for IR1.png'):
        match_fused(pairs, out)

    crossed = [pairs[0]._replace(vis=pairs[1].ir), pairs[1]]
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

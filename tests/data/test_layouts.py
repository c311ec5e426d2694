"""Finding infrared and visible images in datasets as they are downloaded."""
import numpy as np
import pytest

from tools.base.errors import UserError
from tools.data.images import write_image
from tools.data.kaist import list_images_of, list_pairs
from tools.data.layouts import source_folders, what_is_below
from tools.data.names import modality_of, read_name
from tools.data.reading import Reading


@pytest.fixture
def data(tmp_path):
    """A folder whose path holds no word of a modality, unlike those that pytest names after the tests."""
    folder = tmp_path / 'data' / 'sets'
    folder.mkdir(parents=True)
    return folder


def make(folder, *names, size=(8, 10)):
    for name in names:
        write_image(folder / name, np.zeros(size, np.uint8))


def found(listing, root):
    return [tuple(path.relative_to(root).as_posix() for path in item) for item in listing.items]


LAYOUTS = {
    'KAIST': ('set00/V000/lwir/I0.jpg', 'set00/V000/visible/I0.jpg'),
    'KAIST with words': ('set00/V000/lwir/I0_lwir.jpg', 'set00/V000/visible/I0_visible.jpg'),
    'KAIST in one folder': ('images/set00_V000_I0_lwir.png', 'images/set00_V000_I0_visible.png'),
    'MSRS': ('MSRS-main/train/ir/00001D.png', 'MSRS-main/train/vi/00001D.png'),
    'LLVIP': ('LLVIP/infrared/train/010001.jpg', 'LLVIP/visible/train/010001.jpg'),
    'M3FD': ('M3FD_Fusion/Ir/00370.png', 'M3FD_Fusion/Vis/00370.png'),
    'FMB': ('FMB/train/Infrared/00001.png', 'FMB/train/Visible/00001.png'),
    'RoadScene': ('RoadScene-master/cropinfrared/FLIR_00006.jpg', 'RoadScene-master/crop_LR_visible/FLIR_00006.jpg'),
    'TNO': ('FEL_images/Nato_camp_sequence/thermal/1801.bmp', 'FEL_images/Nato_camp_sequence/visual/1801.bmp'),
    'TNO, one folder a scene': ('Athena_images/bunker/IR_bunker_g.bmp', 'Athena_images/bunker/bunker_r.bmp'),
    'FLIR': ('train/thermal_8_bit/FLIR_1.jpeg', 'train/RGB/FLIR_1.jpg'),
    'FLIR aligned': ('JPEGImages/FLIR_1_PreviewData.jpeg', 'JPEGImages/FLIR_1_RGB.jpg'),
    'drone': ('flight 7/DJI_1_T.JPG', 'flight 7/DJI_1_W.JPG'),
    'letters': ('T/1.png', 'W/1.png'),
    'words around': ('my IR pictures/a/1.tif', 'my vis pictures/a/1.tif'),
    'names of both kinds': ('thermal/IR1.png', 'rgb/VIS1.png'),
    'one word only': ('Infrared/ir_7.png', 'Visible/7.png'),
    'upper and lower case': ('INFRARED/Train/1.PNG', 'visible/train/1.png'),
    'words above': ('rgb_and_thermal/lwir_of_visible/ir/1.png', 'rgb_and_thermal/lwir_of_visible/vi/1.png'),
    'inside a folder with a word': ('thermal_set/ir/1.png', 'thermal_set/vi/1.png'),
}
NOT_IMAGES_OF_A_MODALITY = ('Segmentation_visualize/00001D.png', 'Label/1.png', 'color/1.png', 'nir/1.png', 'II/1.png', 'depth/1.png',
                            'near-infrared/1.png', 'air/1.png', 'invision/1.png', '.cache/ir/1.png')


@pytest.mark.parametrize('pair', LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_found_for_training_and_as_a_test_set(data, pair):
    make(data, *pair)
    make(data, *NOT_IMAGES_OF_A_MODALITY)
    assert found(list_pairs(data), data) == [pair]
    assert found(list_images_of(data, 'ir'), data) == [pair[:1]]
    assert found(list_images_of(data, 'vi'), data) == [pair[1:]]
    assert source_folders(data) == tuple((data / name).parent for name in pair)
    assert 'not used: 9 images whose folders and names do not tell' in list_pairs(data).report


def test_several_datasets_at_once_in_the_order_given(data):
    for name in ('MSRS', 'KAIST', 'RoadScene'):
        make(data / name, *(part.split('/', 1)[1] for part in LAYOUTS[name]))
    make(data / 'nothing', 'a.png', 'b.png')
    (data / 'MSRS' / 'readme.md').write_text('')
    listing = list_pairs([data / name for name in ('MSRS', 'KAIST', 'nothing', 'RoadScene')])
    assert [item[0].relative_to(data).parts[0] for item in listing.items] == ['MSRS', 'KAIST', 'RoadScene']
    lines = listing.report.splitlines()
    assert str(data / 'MSRS') in lines[0] and 'infrared images in 3 folders ir/ lwir/ cropinfrared/' in lines[0]
    assert lines[-3:] == ['not used: 2 images whose folders and names do not tell infrared from visible, in nothing/',
                          'not used: 1 other file (1 .md)', f'nothing to use in {data / "nothing"}']


def test_the_two_folders_of_a_dataset_as_paths(data):
    make(data, *LAYOUTS['LLVIP'])
    assert found(list_pairs([data / 'LLVIP/infrared/train', data / 'LLVIP/visible/train']), data) == [LAYOUTS['LLVIP']]
    assert found(list_images_of(data / 'LLVIP/infrared/train', 'ir'), data) == [LAYOUTS['LLVIP'][:1]]


def test_folders_of_one_modality_that_tell_apart_what_is_around_the_word(data):
    make(data, 'ir_day/1.png', 'ir_night/1.png', 'vis_day/1.png', 'vis_night/1.png')
    assert found(list_pairs(data), data) == [('ir_day/1.png', 'vis_day/1.png'), ('ir_night/1.png', 'vis_night/1.png')]
    (data / 'vis_day/1.png').unlink()
    (data / 'ir_night/1.png').unlink()
    with pytest.raises(UserError, match='no training pairs are left'):
        list_pairs(data)


def test_of_two_visible_folders_the_one_of_equal_size_and_otherwise_an_error(data):
    make(data, 'cropinfrared/1.jpg', 'crop_LR_visible/1.jpg')
    make(data, 'crop_HR_visible/1.jpg', size=(16, 20))
    listing = list_pairs(data)
    assert found(listing, data) == [('cropinfrared/1.jpg', 'crop_LR_visible/1.jpg')]
    assert 'left out, in crop_HR_visible/' in listing.report
    assert source_folders(data) == (data / 'cropinfrared', data / 'crop_LR_visible')
    make(data, 'crop_HR_visible/1.jpg')
    for find in (list_pairs, source_folders):
        with pytest.raises(UserError, match='not clear which folders .*cropinfrared; visible .*crop_HR_visible, .*crop_LR_visible'):
            find(data)
    assert len(list_images_of(data, 'vi').items) == 2


def test_a_folder_of_labels_below_a_word_is_not_trained_on(data):
    make(data, 'thermal_project/ir/1.png', 'thermal_project/vi/1.png', 'thermal_project/labels/1.png')
    assert found(list_images_of(data, 'ir'), data) == [('thermal_project/ir/1.png',)]
    make(data, 'rgb_project/x_ir.png', 'rgb_project/x_vis.png', 'rgb_project/mask.png')
    assert found(list_images_of(data / 'rgb_project', 'vi'), data) == [('rgb_project/x_vis.png',)]


def test_one_modality_alone(data):
    make(data, 'a/1_lwir.png', 'a/1_visible.png', 'a/2_lwir.png', 'b/thermal/3.png', 'c/4.png')
    assert found(list_images_of(data, 'ir'), data) == [('a/1_lwir.png',), ('a/2_lwir.png',), ('b/thermal/3.png',)]
    assert 'no partner: 2' in list_pairs(data).report


def test_fused_images_that_are_named_as_their_infrared_ones_are_not_trained_on(data):
    make(data, 'ir/IR1.png', 'vi/VIS1.png', 'output/results_transfuse_IR1.png', 'lrrnet/IR1.png')
    assert found(list_images_of(data, 'ir'), data) == [('ir/IR1.png',)]
    assert 'not used: 2 images' in list_images_of(data, 'ir').report and 'in lrrnet/ output/' in list_pairs(data).report


def test_pairs_of_one_shape_are_used_whatever_their_size(data):
    make(data, 'ir/1.png', 'ir/2.png', 'ir/3.png', size=(240, 320))
    make(data, 'vi/1.png', size=(480, 640))
    make(data, 'vi/2.png', size=(481, 640))
    make(data, 'vi/3.png', size=(512, 640))
    listing = list_pairs(data)
    assert [ir.stem for ir, _ in listing.items] == ['1', '2']
    assert 'shapes differ: 1' in listing.report and '640×512' in listing.report


def test_folders_given(data):
    make(data, 'a/s1/1.png', 'a/s2/1.png', 'a/3.png', 'b/s1/1.png', 'b/s2/1.png', 'b/4.png')
    assert found(list_pairs([], ir=data / 'a', vi=data / 'b'), data) == [('a/s1/1.png', 'b/s1/1.png'), ('a/s2/1.png', 'b/s2/1.png')]
    assert found(list_images_of(['nowhere'], 'vi', ir=data / 'a', vi=str(data / 'b')), data) == [
        ('b/4.png',), ('b/s1/1.png',), ('b/s2/1.png',)]
    with pytest.raises(UserError, match='give vi, the folder of visible images'):
        list_images_of([data], 'vi', ir=data / 'a')
    with pytest.raises(UserError, match='both ir and vi'):
        list_pairs([data], vi=data / 'a')
    make(data, 'ir/1.png', 'vi/1.png')
    assert 'are swapped' in list_pairs([], ir=data / 'vi', vi=data / 'ir').report
    assert 'are swapped' not in list_pairs([], ir=data / 'ir', vi=data / 'vi').report


def test_names_as_asked_for(data):
    make(data, 'country/0_nir.tiff', 'country/0_rgb.tiff', 'field/1_nir.tiff', 'field/1_rgb.tiff')
    with pytest.raises(UserError, match='no training pairs are left'):
        list_pairs(data)
    reading = Reading('{}_nir', '{}_rgb')
    pairs = [('country/0_nir.tiff', 'country/0_rgb.tiff'), ('field/1_nir.tiff', 'field/1_rgb.tiff')]
    assert found(list_pairs(data, reading=reading), data) == pairs
    assert found(list_images_of(data, 'ir', reading=reading), data) == [pair[:1] for pair in pairs]
    assert source_folders(data / 'field', reading) == (data / 'field',) * 2


def test_a_test_set_of_several(data):
    make(data, 'train/ir/1.png', 'train/vi/1.png', 'test/ir/1.png', 'test/vi/1.png')
    assert source_folders(data / 'test') == (data / 'test/ir', data / 'test/vi')
    with pytest.raises(UserError, match='several pairs of folders: .*test/ir and .*test/vi; .*train/ir'):
        source_folders(data)
    make(data, 'ir/1.png', 'vi/1.png')
    assert source_folders(data) == (data / 'ir', data / 'vi')


def test_what_is_below(data):
    make(data, 'a/1.png', 'a/2.png')
    (data / 'a' / 'x.npy').write_text('')
    (data / 'b').mkdir()
    assert what_is_below(data) == 'a/ with 2 images, 1 other file (1 .npy)'
    assert what_is_below(data / 'b') == 'no files'


@pytest.mark.parametrize('name, says', [
    ('IR', {'ir'}), ('thermal_8_bit', {'ir'}), ('cropinfrared', {'ir'}), ('IRvideo', {'ir'}), ('imgVis', {'vi'}), ('RGB', {'vi'}),
    ('LWIR2', {'ir'}), ('InfraRed', {'ir'}), ('far_infrared', {'ir'}), ('ir-vis', {'ir', 'vi'}), ('Visible Light', {'vi'}),
    ('Air', set()), ('Vision', set()), ('Davis', set()), ('virus', set()), ('iris', set()), ('visualize', set()), ('RGBT', set()),
    ('NIR', set()), ('near infrared', set()), ('nearIR', set()), ('II', set()), ('4th', set()), ('T', set()), ('W', set()),
    ('linear_ir', {'ir'}), ('', set()), ('١_ir', {'ir'}), ('红外_ir', {'ir'})])
def test_words_in_a_name(name, says):
    assert read_name(name).modalities == says


def test_the_last_part_with_a_word_counts_and_other_bands_end_it():
    assert modality_of(['visible', 'ir', 'a']) == ('ir', 1)
    assert modality_of(['ir', 'vis_and_ir', 'a'])[0] is None
    assert modality_of(['infrared', 'nir', 'a'])[0] is None
    assert modality_of(['a', 'b'])[0] is None

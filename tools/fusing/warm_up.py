"""Let Jittor compile itself and what fusing needs, so that the first pictures take seconds:
python -m tools.fusing.warm_up"""
from network.strips import fuse_pair
from tools.base.script import run_script
from tools.data.images import luma
from tools.runtime import jt, use_device
from tools.scenes.places import make_scene
from tools.weights.fusion import SHIPPED, load_fusion_model

HEIGHT, WIDTH = 72, 80  # sizes are data to what is compiled: any will do


def main():
    print(f'Jittor {jt.__version__} works on the {use_device(cuda=True)}; now it compiles what fusing needs',
          flush=True)
    networks = load_fusion_model(SHIPPED).networks
    ir, visible = make_scene(0, HEIGHT, WIDTH)
    for fits in (HEIGHT * WIDTH, HEIGHT * WIDTH // 2):  # whole, and in strips
        fuse_pair(networks, ir, luma(visible), fits)


if __name__ == '__main__':
    run_script(main)

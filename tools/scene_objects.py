"""The things in synthetic scenes: people, cars, trees, lamps, buildings, smoke.

Each is a function that draws one on a Canvas, at x, z metres; `rng` varies it.
"""
import numpy as np

from tools.scene_canvas import Canvas, box, capsule, ellipse, fractal, rgb

SKIN = rgb(196, 150, 120)
COATS = [rgb(40, 44, 60), rgb(120, 30, 34), rgb(60, 70, 50), rgb(150, 145, 140), rgb(35, 35, 38), rgb(180, 120, 40),
         rgb(40, 80, 130), rgb(95, 60, 45), rgb(205, 205, 200), rgb(110, 95, 120)]
TROUSERS = [rgb(40, 44, 60), rgb(60, 58, 50), rgb(35, 35, 38), rgb(70, 84, 110), rgb(110, 100, 85), rgb(85, 85, 90)]
CAR_PAINTS = [rgb(190, 192, 195), rgb(30, 32, 36), rgb(120, 20, 24), rgb(28, 52, 100), rgb(225, 225, 220),
              rgb(90, 95, 90), rgb(150, 120, 60)]
WALLS = [rgb(150, 95, 75), rgb(190, 175, 150), rgb(160, 160, 158), rgb(205, 195, 180), rgb(120, 110, 105),
         rgb(175, 130, 95), rgb(140, 150, 160)]
HAIR = rgb(40, 30, 25)
UNDERSIDE = rgb(15, 15, 16)
GLASS = rgb(60, 72, 84)
RUBBER = rgb(28, 28, 30)
WARM_LIGHT = rgb(255, 190, 110)
WHITE_LIGHT = rgb(255, 245, 225)
RED_LIGHT = rgb(255, 40, 25)


class Placed:
    """Polygons of an object given in its own metres (x right, y up from the ground), moved to (x, z) in the world."""

    def __init__(self, canvas: Canvas, x: float, z: float, mirrored: bool = False):
        self.canvas, self.z = canvas, z
        self.origin = np.array(canvas.camera.project(x, 0, z))
        self.scale = canvas.camera.scale(z)
        self.flip = -1 if mirrored else 1

    def __call__(self, polygon: np.ndarray) -> np.ndarray:
        return self.origin + polygon * (self.flip * self.scale, -self.scale)

    def paint(self, polygons, colour, heat, **more) -> None:
        self.canvas.paint([self(p) for p in polygons], colour, heat, self.z, **more)

    def relative(self, where, middle: float, wide: float, tall: float):
        """How far pixels are from the point (0, middle): to the right and down, as shares of two sizes."""
        centre = self(np.array([(0.0, middle)]))[0]
        columns = np.arange(where[1].start, where[1].stop, dtype=np.float32)[None] - centre[0]
        rows = np.arange(where[0].start, where[0].stop, dtype=np.float32)[:, None] - centre[1]
        return columns / (wide * self.scale), rows / (tall * self.scale)

    def shadow(self, polygons, size: float) -> None:
        self.canvas.shadow([self(p) for p in polygons], self.origin[1], size * self.scale)


def person(canvas: Canvas, rng: np.random.Generator, x: float, z: float, camouflage: float = 0.0) -> None:
    """A walking or standing person. `camouflage` 0 to 1: how much the clothes look like what is behind them."""
    height, stride, swing = rng.uniform(1.55, 1.9), rng.uniform(-0.22, 0.22), rng.uniform(0.2, 0.7)
    hip, shoulder, wide = 0.5 * height, 0.82 * height, rng.uniform(0.17, 0.22)
    legs, arms = [], []
    for side in (-1, 1):
        knee, foot = (side * stride * 0.55 + side * 0.05, 0.27 * height), (side * stride * 1.15 + side * 0.06, 0.05)
        legs += [capsule((side * 0.07, hip), knee, 0.095, 0.07), capsule(knee, foot, 0.07, 0.045),
                 capsule(foot, (foot[0] + 0.13, 0.035), 0.045, 0.035)]
        elbow = (side * wide - side * stride * swing, 0.63 * height)
        hand = (elbow[0] - side * stride * swing + 0.06, 0.49 * height)
        arms += [capsule((side * wide * 0.9, shoulder - 0.04), elbow, 0.06, 0.05), capsule(elbow, hand, 0.05, 0.035)]
    torso = [capsule((0, shoulder - 0.05), (0, hip), wide, wide * 0.8),
             capsule((0, shoulder), (0, 0.87 * height), 0.07, 0.06)]
    head = [ellipse(0.02, 0.93 * height, 0.088, 0.115)]
    hair = [ellipse(-0.02, 0.96 * height, 0.085, 0.075)]
    hands = [ellipse(*forearm.mean(0), 0.04, 0.05) for forearm in (arms[1], arms[3])]
    body = Placed(canvas, x, z, mirrored=rng.random() < 0.5)
    body.shadow(legs + arms + torso + head, height)

    upper, lower = COATS[rng.integers(len(COATS))], TROUSERS[rng.integers(len(TROUSERS))]
    patterns = rng.uniform(0.8, 1.1, 2)
    seen = canvas.cover([body(p) for p in torso + legs])
    if seen is not None:
        behind = np.median(canvas.colour[seen[1]].reshape(-1, 3), 0)
        upper, lower = (c + camouflage * (behind * k - c) for c, k in zip((upper, lower), patterns))
    skin, hair_colour = (c + camouflage * 0.8 * (upper - c) for c in (SKIN, HAIR))
    grain = 0.06 + 0.25 * camouflage
    coat, trousers = rng.uniform(0.55, 0.78, 2)  # warmth that gets through the clothes
    body.paint(legs, lower * 0.8, trousers, texture=grain, round_shading=0.2)
    body.paint(arms[:2], upper * 0.7, coat - 0.06, texture=grain)
    body.paint(torso, upper, coat, texture=grain, round_shading=0.3)
    body.paint(arms[2:], upper * 0.9, coat - 0.03, texture=grain)
    body.paint(hands, skin, 0.88)
    body.paint(head, skin, 0.96, round_shading=0.25)
    body.paint(hair, hair_colour, 0.78)


def car_side(canvas: Canvas, rng: np.random.Generator, x: float, z: float, running: bool = True) -> None:
    """A car seen from its side, its bonnet on the right unless mirrored."""
    colour = CAR_PAINTS[rng.integers(len(CAR_PAINTS))]
    roof = rng.uniform(1.4, 1.75)
    hull = np.array([(-2.1, 0.35), (-2.15, 0.8), (-2.0, 1.0), (1.0, 0.98), (1.9, 0.85), (2.1, 0.65), (2.12, 0.35)])
    cabin = np.array([(-1.95, 0.95), (-1.6, roof - 0.08), (-1.2, roof), (0.1, roof), (0.45, roof - 0.1), (1.15, 0.95)])
    panes = [np.array([(-1.55, 1.0), (-1.35, roof - 0.12), (-0.65, roof - 0.1), (-0.65, 1.0)]),
             np.array([(-0.55, 1.0), (-0.55, roof - 0.1), (0.05, roof - 0.1), (0.3, roof - 0.18), (0.75, 1.0)])]
    wheels = [ellipse(side, 0.33, 0.34, 0.34) for side in (-1.3, 1.3)]
    hubs = [ellipse(side, 0.33, 0.18, 0.18) for side in (-1.3, 1.3)]
    body = Placed(canvas, x, z, mirrored=rng.random() < 0.5)
    body.shadow([hull, cabin] + wheels, 1.6)
    body.paint([box(-2.0, 0.18, 2.0, 0.4)], UNDERSIDE, 0.45 if running else 0.3)
    body.paint([cabin], colour * 0.9, 0.36)
    body.paint([hull], colour, 0.38, texture=0.03)
    body.paint([box(-2.1, 0.36, 2.1, 0.5)], colour * 0.5, 0.34)
    body.paint(panes, GLASS, 0.2, texture=0.15)
    if running:
        for reach, heat in ((0.8, 0.5), (1.0, 0.62), (1.2, 0.75)):
            bonnet = np.array([(reach, 0.5), (reach, 0.97 - 0.1 * (reach - 0.8)), (1.9, 0.82), (2.05, 0.6)])
            body.paint([bonnet], colour, heat, texture=0.03)
        body.paint([ellipse(-2.05, 0.3, 0.1, 0.07)], RUBBER, 0.95)
    body.paint(wheels, RUBBER, 0.6 if running else 0.33)
    body.paint(hubs, rgb(140, 142, 145), 0.75 if running else 0.3)


def car_ahead(canvas: Canvas, rng: np.random.Generator, x: float, z: float, oncoming: bool, lights: bool) -> None:
    """A car on the road seen from its front (`oncoming`) or its back, with its lamps on if `lights`."""
    colour, dark = CAR_PAINTS[rng.integers(len(CAR_PAINTS))], rgb(20, 20, 22)
    roof = rng.uniform(1.4, 1.8)
    hull = np.array([(-0.85, 0.25), (-0.9, 0.6), (-0.86, 0.9), (0.86, 0.9), (0.9, 0.6), (0.85, 0.25)])
    cabin = np.array([(-0.84, 0.88), (-0.62, roof - 0.06), (-0.5, roof),
                      (0.5, roof), (0.62, roof - 0.06), (0.84, 0.88)])
    screen = np.array([(-0.72, 0.93), (-0.55, roof - 0.12), (0.55, roof - 0.12), (0.72, 0.93)])
    wheels = [box(side - 0.13, 0, side + 0.13, 0.45) for side in (-0.7, 0.7)]
    lamps = [ellipse(side, 0.68, 0.14, 0.085) for side in (-0.64, 0.64)]
    body = Placed(canvas, x, z)
    body.shadow([hull, cabin] + wheels, 1.7)
    body.paint(wheels, RUBBER, 0.6)
    body.paint([box(-0.75, 0.15, 0.75, 0.35)], UNDERSIDE, 0.62)
    body.paint([cabin], colour * 0.85, 0.36, texture=0.03)
    body.paint([hull], colour, 0.42, texture=0.03, round_shading=0.12)
    body.paint([screen], GLASS, 0.22, texture=0.15)
    if oncoming:
        body.paint([box(-0.7, 0.75, 0.7, 0.9)], colour * 1.1, 0.68, texture=0.02)
        body.paint([box(-0.42, 0.55, 0.42, 0.7)], dark, 0.92)
    else:
        body.paint([box(-0.5, 0.2, -0.3, 0.28)], dark, 1.0)
    body.paint([box(-0.26, 0.4, 0.26, 0.52)], rgb(220, 220, 210), 0.4)
    lamp = WHITE_LIGHT if oncoming else RED_LIGHT
    glow = lamp * (6 if oncoming else 1.5) if lights else 0.0
    body.paint(lamps, rgb(230, 230, 225) if oncoming else rgb(120, 20, 20), 0.6, glow=glow)
    if lights:
        column, row = body.origin
        reach = (2.2 if oncoming else 1.0) * body.scale
        canvas.add_light(column, row + 0.25 * reach, reach, 0.4 * reach, lamp * (0.5 if oncoming else 0.12))


def tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float, height: float, green: np.ndarray) -> None:
    """A tree with a ragged crown; below 2.5 m it is a bush."""
    stem = 0.0 if height < 2.5 else rng.uniform(0.25, 0.4) * height
    wide = rng.uniform(0.3, 0.45) * height * (1.6 if stem == 0 else 1)
    middle, tall = (height + stem) / 2, (height - stem) / 2
    body = Placed(canvas, x, z, mirrored=rng.random() < 0.5)
    crown = ellipse(0, middle, wide * 0.9, tall)
    trunk = [capsule((0, 0), (0.03 * height, middle), 0.028 * height, 0.015 * height),
             capsule((0, stem), (0.6 * wide, middle), 0.014 * height, 0.008 * height)] if stem else []
    body.shadow(trunk + [crown], height * 0.4)
    if trunk:
        body.paint(trunk, rgb(80, 62, 48), 0.3, texture=0.2, round_shading=0.3)
    covered = canvas.cover([body(ellipse(0, middle, wide * 1.2, tall * 1.15))])
    if covered is None:
        return
    mask, where = covered
    columns, rows = body.relative(where, middle, wide, tall)
    size = max(1.2, 0.35 * wide * body.scale)
    lumps = fractal(canvas.noise, *mask.shape, cell=size, octaves=5)
    reach = np.sqrt(rows ** 2 + columns ** 2) - 0.85 + 0.16 * lumps
    leaves = np.clip(0.5 - reach * max(2.0, 0.15 * tall * body.scale), 0, 1) * mask
    light = np.clip(0.75 - 0.3 * rows - 0.25 * np.sign(canvas.sun.shear) * columns + 0.22 * lumps, 0.15, 1.6)
    canvas.blend(leaves, where, canvas.hazed(green * light[..., None], z), 0.22 + 0.035 * lumps - 0.02 * rows)


def lamp_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float, lit: bool) -> None:
    """A street lamp; lit, it makes a pool of light on the ground and on what stands near it."""
    height, arm = rng.uniform(4.5, 6), -np.sign(x) * rng.uniform(0.8, 1.4)
    body = Placed(canvas, x, z)
    post = [capsule((0, 0), (0, height), 0.08, 0.05), capsule((0, height), (arm, height + 0.15), 0.045, 0.04)]
    body.shadow(post, 1.0)
    body.paint(post, rgb(70, 74, 78), 0.28)
    head, cold = [ellipse(arm, height + 0.1, 0.28, 0.09)], rgb(200, 200, 190)
    body.paint(head, cold, 0.7 if lit else 0.3, glow=WARM_LIGHT * 8 if lit else 0.0)
    if lit:
        column, row = body(np.array([(arm, 0.0)]))[0]
        canvas.add_light(column, row, 3.2 * body.scale, 0.9 * body.scale, WARM_LIGHT * 0.45)
        canvas.add_light(column, row - 0.8 * height * body.scale, 1.8 * body.scale, 2.4 * body.scale, WARM_LIGHT * 0.25)


def facade(rng: np.random.Generator, noise: np.random.Generator, width: float, height: float, pixels: float,
           night: bool) -> np.ndarray:
    """A wall with windows as a flat h×w×7 picture (colour, heat, glow), `pixels` per metre."""
    shape = max(4, int(height * pixels)), max(4, int(width * pixels))
    wall, wall_heat = WALLS[rng.integers(len(WALLS))], rng.uniform(0.26, 0.42)
    picture = np.zeros(shape + (7,), np.float32)
    picture[..., :3] = wall * (1 + 0.08 * fractal(noise, *shape, cell=max(1.5, 2 * pixels)))[..., None]
    picture[..., 3] = wall_heat * (1 + 0.06 * fractal(noise, *shape, cell=max(1.5, 4 * pixels), octaves=3))
    storey, step = rng.uniform(2.8, 3.4), rng.uniform(2.0, 3.2)
    tall, wide = rng.uniform(1.2, 1.8), rng.uniform(0.9, min(1.9, step - 0.5))

    def fill(left, top, right, bottom, colour, heat, glow=(0, 0, 0)):
        rows = slice(int(top * pixels), int(np.ceil(bottom * pixels)))
        columns = slice(int(left * pixels), int(np.ceil(right * pixels)))
        picture[rows, columns] = np.r_[colour, heat, glow]

    for top in np.arange(height - storey, 0, -storey):
        fill(0, top - 0.12, width, top, wall * 0.75, wall_heat + 0.03)
        sill = top + (storey - tall) / 2
        for left in np.arange((step - wide) / 2, width - wide, step):
            glow = WARM_LIGHT * rng.uniform(0.15, 0.9) * (night and rng.random() < 0.3)
            right, bottom, middle = left + wide, sill + tall, left + wide / 2
            fill(left - 0.1, sill - 0.1, right + 0.1, bottom + 0.1, wall * 1.25, wall_heat + 0.05)
            pane_heat = 0.46 if rng.random() < 0.15 else 0.16
            fill(left, sill, right, bottom, GLASS * rng.uniform(0.6, 1.6), pane_heat, glow)
            fill(middle - 0.04, sill, middle + 0.04, bottom, wall * 0.6, wall_heat)
    return picture


def building(canvas: Canvas, rng: np.random.Generator, side: float, near: float, far: float, height: float,
             night: bool) -> None:
    """A house along the street: the wall x = `side` between the distances near and far, and its front."""
    camera = canvas.camera
    pixels = min(camera.scale(near), 40)
    depth = np.sign(side) * 12
    front = [(side, height, near), (side + depth, height, near), (side + depth, 0, near), (side, 0, near)]
    wall = [(side, height, far), (side, height, near), (side, 0, near), (side, 0, far)]
    sunny_side = 1.0 if side * canvas.sun.shear > 0 else 0.15
    for corners, width, z, lit in ((front, 12, near, 0.6), (wall, far - near, (near + far) / 2, sunny_side)):
        quad = np.array([camera.project(*corner) for corner in corners])
        canvas.warp(facade(rng, canvas.noise, width, height, pixels, night), quad, z, lit)


def smoke(canvas: Canvas, rng: np.random.Generator, x: float, z: float, size: float) -> None:
    """A cloud of smoke: it hides things from the eye, not from the infrared camera."""
    body = Placed(canvas, x, z)
    covered = canvas.cover([body(ellipse(0, 0.9 * size, 2.4 * size, 1.6 * size))])
    if covered is None:
        return
    mask, where = covered
    columns, rows = body.relative(where, 0.9 * size, 2.4 * size, 1.6 * size)
    swirl = fractal(canvas.noise, *mask.shape, cell=max(1.5, size * body.scale))
    inward = np.clip(1 - np.sqrt(rows ** 2 + columns ** 2), 0, 1)
    density = np.clip(1.8 * inward + 0.3 * swirl, 0, 0.97) * np.clip(3 * inward, 0, 1)
    gray = rgb(210, 210, 210) * rng.uniform(0.7, 1) * (1 + 0.08 * swirl)[..., None]
    canvas.blend(density, where, gray, canvas.heat[where])

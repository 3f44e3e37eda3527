"""Houses along the street, and the fences of their gardens."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy import ndarray

from .canvas import BUILDING, FENCE, NEAR, VEGETATION, Canvas, noise, rgb

TEXELS_PER_METRE = 14
RISE = 2.4  # metres from the eaves to the ridge
WALLS = {
    "plaster": ((206, 190, 160), (196, 178, 170), (176, 186, 188), (214, 208, 196), (188, 160, 130), (150, 158, 140)),
    "brick": ((150, 86, 66), (128, 74, 60), (166, 112, 84), (112, 82, 72)),
    "concrete": ((142, 142, 138), (120, 124, 128), (160, 156, 148)),
}
ROOFS = ((120, 62, 48), (86, 78, 76), (104, 92, 84))
AWNINGS = ((150, 52, 46), (46, 88, 62), (50, 66, 112), (190, 170, 110))


@dataclass(frozen=True)
class House:
    """A house whose street face stands at ``x`` from ``start`` to ``end``."""

    x: float
    start: float
    end: float
    height: float
    material: str
    pitched: bool
    seed: int

    @property
    def far(self) -> float:
        return self.end

    def paint(self, canvas: Canvas, time: float) -> None:
        """The street face, the gable towards the camera, and the roof."""
        canvas.begin()
        side = 1 if self.x > 0 else -1
        lamps = canvas.light.emit((255, 206, 120)) if canvas.light.lamps else None
        depth = float(np.random.default_rng(self.seed).uniform(7, 11))
        if self.pitched:
            self.roof(canvas, side * depth)
        if self.start > canvas.camera.station + NEAR:
            gable = wall(self.seed + 1, depth, self.height, self.material, None) * (0.86 * canvas.light.facing(0))
            canvas.texture(upright(self.x, self.x + side * depth, self.start, self.start, self.height), gable, BUILDING)
        face = wall(self.seed, self.end - self.start, self.height, self.material, lamps) * canvas.light.facing(side)
        paint_along(canvas, self, face, BUILDING)

    def roof(self, canvas: Canvas, depth: float) -> None:
        """The slope over the street, and the triangle of the gable under it."""
        ridge, top = self.x + depth / 2, self.height + RISE
        near = max(self.start, canvas.camera.station + NEAR)
        slope = [
            (self.x, self.height, near),
            (self.x, self.height, self.end),
            (ridge, top, self.end),
            (ridge, top, near),
        ]
        canvas.shape(np.array(slope), ROOFS[self.seed % len(ROOFS)], BUILDING)
        if near == self.start:
            triangle = [(self.x, self.height, near), (ridge, top, near), (self.x + depth, self.height, near)]
            plain = wall(self.seed + 1, abs(depth), self.height, self.material, None).mean((0, 1))
            canvas.shape(np.array(triangle), tuple(0.95 * plain), BUILDING)


@dataclass(frozen=True)
class Fence:
    """Planks, or bars that one sees through, at ``x`` from ``start`` to ``end``."""

    x: float
    start: float
    end: float
    height: float
    seed: int

    @property
    def far(self) -> float:
        return self.end

    def paint(self, canvas: Canvas, time: float) -> None:
        canvas.begin()
        texels, opacity = planks(self) if self.seed % 2 else bars(self)
        paint_along(canvas, self, texels * canvas.light.facing(1 if self.x > 0 else -1), FENCE, opacity)


@dataclass(frozen=True)
class Hedge:
    """A clipped hedge at ``x`` from ``start`` to ``end``, with an uneven top."""

    x: float
    start: float
    end: float
    height: float
    seed: int

    @property
    def far(self) -> float:
        return self.end

    def paint(self, canvas: Canvas, time: float) -> None:
        rng = np.random.default_rng(self.seed)
        near = max(self.start, canvas.camera.station + NEAR)
        if near >= self.end - 0.5:
            return
        along = np.linspace(near, self.end, 24)
        tops = self.height * (1 + 0.06 * rng.normal(size=24))
        colour = rgb(rng.uniform((44, 74, 34), (76, 104, 46)))
        outline = [(self.x, top, s) for top, s in zip(tops, along, strict=True)]
        canvas.begin()
        canvas.shape(np.array([*outline, (self.x, 0, self.end), (self.x, 0, near)]), tuple(colour), VEGETATION)
        canvas.speckle(rng, 0.42, 4)


def upright(x0: float, x1: float, s0: float, s1: float, height: float) -> ndarray:
    """The four corners of a wall that stands on the ground between two points."""
    return np.array([(x0, height, s0), (x1, height, s1), (x1, 0, s1), (x0, 0, s0)])


def paint_along(
    canvas: Canvas, item: House | Fence, texels: ndarray, code: int, opacity: ndarray | None = None
) -> None:
    """A face parallel to the street; only the part in front of the camera, in pieces that follow its bend."""
    edges = np.linspace(item.start, item.end, max(2, round((item.end - item.start) / 6)) + 1)
    columns = np.round(np.linspace(0, texels.shape[1], len(edges))).astype(int)
    nearest = canvas.camera.station + NEAR
    for i in reversed(range(len(edges) - 1)):
        if edges[i + 1] <= nearest + 0.3:
            continue
        visible = max(edges[i], nearest)
        skip = int((columns[i + 1] - columns[i]) * (visible - edges[i]) / (edges[i + 1] - edges[i]))
        part = slice(columns[i] + skip, columns[i + 1])
        corners = upright(item.x, item.x, visible, edges[i + 1], item.height)
        canvas.texture(corners, texels[:, part], code, None if opacity is None else opacity[:, part])


@lru_cache(maxsize=256)
def wall(seed: int, length: float, height: float, material: str, lamps: tuple[float, ...] | None) -> ndarray:
    """The picture of a wall with its windows and, at the street, doors and shops (h w 3)."""
    rng = np.random.default_rng(seed)
    size = (int(height * TEXELS_PER_METRE), int(length * TEXELS_PER_METRE))
    colours = WALLS[material]
    picture = np.empty((*size, 3), np.float32)
    picture[:] = colours[rng.integers(len(colours))]
    picture *= 1 + 0.07 * noise(rng, size, (3, 9, 40))[..., None]
    if material == "brick":
        rows = np.arange(size[0]) % 5 == 0
        picture[rows] *= 1.22
    elif material == "concrete":
        picture[:: 3 * TEXELS_PER_METRE] *= 0.72
        picture[:, :: 4 * TEXELS_PER_METRE] *= 0.8
    windows(picture, rng, material, lamps)
    street_floor(picture, rng, lamps)
    picture[: TEXELS_PER_METRE // 3] *= 1.16
    picture[TEXELS_PER_METRE // 3 : TEXELS_PER_METRE // 2] *= 0.7
    return picture


def windows(picture: ndarray, rng: np.random.Generator, material: str, lamps: tuple[float, ...] | None) -> None:
    """Rows of windows from the first floor up; some with blinds, some lit."""
    unit = TEXELS_PER_METRE
    height, width = picture.shape[:2]
    pitch = rng.uniform(2.1, 3.2)
    wide, tall = (pitch * 0.82, 1.9) if material == "concrete" else (rng.uniform(0.9, 1.3), rng.uniform(1.4, 1.8))
    frame = picture.mean((0, 1)) * (0.7 if material == "concrete" else 1.25)
    glass = rgb(rng.uniform((36, 46, 56), (74, 88, 102)))
    for top in np.arange(height - 3.3 * unit - 2.5 * unit, 0.4 * unit, -3 * unit):
        for left in np.arange(0.6 * unit, width - (wide + 0.3) * unit, pitch * unit):
            pane = glass * rng.uniform(0.7, 1.35)
            if lamps and rng.random() < 0.28:
                pane = rgb(lamps) * rng.uniform(0.6, 1)
            y, x, h, w = int(top), int(left), int(tall * unit), int(wide * unit)
            picture[y - 1 : y + h + 2, x - 1 : x + w + 1] = frame
            picture[y : y + h, x : x + w] = pane
            picture[y : y + h // 3, x : x + w] *= 1.3
            if rng.random() < 0.25:
                picture[y : y + int(h * rng.uniform(0.3, 0.8)), x : x + w] = frame * 0.86
            picture[y : y + h, x + w // 2] = frame * 0.8


def street_floor(picture: ndarray, rng: np.random.Generator, lamps: tuple[float, ...] | None) -> None:
    """Doors, or shop windows under an awning; a darker plinth."""
    unit = TEXELS_PER_METRE
    height, width = picture.shape[:2]
    picture[height - unit // 2 :] *= 0.72
    shops = rng.random() < 0.5
    glass = rgb(lamps) * 0.75 if lamps and shops else rgb((48, 54, 62))
    awning = rgb(AWNINGS[rng.integers(len(AWNINGS))])
    for left in range(int(0.8 * unit), width - 3 * unit, 4 * unit):
        top = height - int(2.5 * unit)
        if shops:
            picture[top : height - unit // 3, left : left + int(2.8 * unit)] = glass * rng.uniform(0.8, 1.2)
            picture[top - unit // 2 : top + unit // 4, left - 4 : left + 3 * unit] = awning
        else:
            picture[top + 4 : height, left : left + unit] = rgb(rng.uniform((40, 30, 24), (110, 84, 70)))
            picture[top + 4 : top + 2 * unit - 8, left + 2 * unit : left + 3 * unit] = glass


def planks(fence: Fence) -> tuple[ndarray, None]:
    """Upright boards."""
    rng = np.random.default_rng(fence.seed)
    unit = TEXELS_PER_METRE * 2
    size = (int(fence.height * unit), int((fence.end - fence.start) * unit))
    colour = rgb(rng.uniform((96, 72, 50), (150, 128, 104)))
    boards = 1 + rng.uniform(-0.2, 0.2, size[1] // 6 + 1).repeat(6)[: size[1]]
    boards[::6] *= 0.45
    return (colour * boards[None, :, None] * (1 + 0.08 * noise(rng, size, (5, 20)))[..., None]).astype(np.float32), None


def bars(fence: Fence) -> tuple[ndarray, ndarray]:
    """Posts, rails and thin bars: mostly air."""
    unit = TEXELS_PER_METRE * 2
    size = (int(fence.height * unit), int((fence.end - fence.start) * unit))
    opacity = np.zeros(size, np.float32)
    for left in range(0, size[1], 7):
        opacity[:, left : left + 2] = 0.85
    for left in range(0, size[1], 2 * unit):
        opacity[:, left : left + 5] = 1
    opacity[2:6] = opacity[-8:-4] = 1
    colour = ((58, 64, 62), (150, 154, 156), (52, 74, 60))[fence.seed % 3]
    return np.broadcast_to(rgb(colour), (*size, 3)).copy(), opacity

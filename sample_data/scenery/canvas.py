"""The camera, the light, and the canvas that holds colour, code and distance of every pixel."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike

CLASSES = ("sky", "building", "road", "pavement", "vegetation", "fence", "pole", "sign", "car", "person")
SKY, BUILDING, ROAD, PAVEMENT, VEGETATION, FENCE, POLE, SIGN, CAR, PERSON = range(len(CLASSES))
VOID = 255
SUPERSAMPLING = 2
NEAR = 1.2  # metres: nothing nearer to the camera is drawn
FARTHEST = 1e4


@dataclass(frozen=True)
class Light:
    """The weather and the hour: colours of the sky, of the light, its shadows, and how far one sees."""

    zenith: tuple[float, float, float]
    skyline: tuple[float, float, float]
    gain: tuple[float, float, float]
    clouds: float
    sight: float
    sun_side: int = 0  # -1: the sun stands behind the houses on the left, 1: on the right
    cast: float = 0.0  # length of a shadow over the height of what casts it
    shade: float = 1.0
    lamps: bool = False
    noise: float = 2.0

    def emit(self, colour: tuple[float, float, float]) -> tuple[float, ...]:
        """A colour that comes out as it is after the light is applied: lamps and lit windows."""
        return tuple(c / g for c, g in zip(colour, self.gain, strict=True))

    def facing(self, side: int) -> float:
        """Brightness of a wall that faces the street from one side of it."""
        return 1.0 if self.sun_side == 0 else (self.shade * 1.1 if side == self.sun_side else 1.12)


@dataclass(frozen=True)
class Camera:
    """A pinhole at ``station`` metres along a street that bends by ``bend`` z² metres to the side."""

    height: int
    width: int
    focal: float
    horizon: float
    eye: float
    station: float = 0.0
    lateral: float = 0.0
    bend: float = 0.0

    def project(self, points: ndarray) -> ndarray:
        """World points (N, 3: x, y, s) as canvas pixels (N, 2); distances are cut at ``NEAR``."""
        points = np.asarray(points, np.float64)
        z = np.maximum(points[:, 2] - self.station, NEAR)
        across = points[:, 0] - self.lateral + self.bend * z * z
        x = self.width / 2 + self.focal * across / z
        y = self.horizon + self.focal * (self.eye - points[:, 1]) / z
        return np.stack([x, y], 1)

    def ground(self) -> tuple[int, ndarray, ndarray, ndarray]:
        """The first row below the horizon, and x, s and distance of the ground at each pixel from there on."""
        first = int(self.horizon) + 1
        rows, columns = np.mgrid[first : self.height, 0 : self.width].astype(np.float64)
        z = self.focal * self.eye / (rows + 0.5 - self.horizon)
        x = (columns + 0.5 - self.width / 2) * z / self.focal + self.lateral - self.bend * z * z
        return first, x, z + self.station, z


@dataclass
class Canvas:
    """Colour (H W 3, RGB 0..255), code and distance of each pixel, and which thing it belongs to."""

    camera: Camera
    light: Light
    colour: ndarray = field(init=False)
    codes: ndarray = field(init=False)
    depth: ndarray = field(init=False)
    owner: ndarray = field(init=False)
    things: int = 0

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        self.colour = np.zeros((*size, 3), np.float32)
        self.codes = np.full(size, SKY, np.uint8)
        self.depth = np.full(size, FARTHEST, np.float32)
        self.owner = np.zeros(size, np.int32)

    def begin(self) -> None:
        """From here on, pixels belong to a new thing."""
        self.things += 1

    def fill(self, pixels: ndarray, colour: tuple[float, ...], code: int, z: float) -> None:
        """A polygon of canvas pixels (N, 2) in one colour."""
        outline = [np.round(np.clip(pixels, -4000, 4000) * 16).astype(np.int32)]
        cv2.fillPoly(self.colour, outline, tuple(map(float, colour)), shift=4)
        for plane, value in ((self.codes, code), (self.depth, z), (self.owner, self.things)):
            cv2.fillPoly(plane, outline, float(value), shift=4)

    def shape(self, world: ndarray, colour: tuple[float, ...], code: int) -> None:
        """A polygon of world points (N, 3) in one colour."""
        world = np.asarray(world, np.float64)
        self.fill(self.camera.project(world), colour, code, float(world[:, 2].mean()) - self.camera.station)

    def hull(self, world: ndarray, colour: tuple[float, ...], code: int) -> None:
        """The outline of a convex body, given its corners (N, 3)."""
        world = np.asarray(world, np.float64)
        corners = cv2.convexHull(self.camera.project(world).astype(np.float32))[:, 0]
        self.fill(corners, colour, code, float(world[:, 2].min()) - self.camera.station)

    def texture(self, corners: ndarray, texels: ndarray, code: int, opacity: ndarray | None = None) -> None:
        """A picture (h w 3) on a flat four-sided face: top left, top right, bottom right, bottom left (4, 3).

        With ``opacity`` (h w, 0..1) what lies behind shines through, but the whole face gets the code.
        """
        pixels = np.clip(self.camera.project(corners), -4000, 4000).astype(np.float32)
        texels, opacity = shrink(texels, opacity, pixels)
        height, width = texels.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        warp = cv2.getPerspectiveTransform(source, pixels)
        size = (self.camera.width, self.camera.height)
        mask = np.zeros(self.codes.shape, np.uint8)
        cv2.fillPoly(mask, [np.round(pixels * 16).astype(np.int32)], 1, shift=4)
        inside = mask > 0
        cover = np.ones(int(inside.sum()), np.float32)
        if opacity is not None:
            cover = cv2.warpPerspective(opacity, warp, size, borderMode=cv2.BORDER_REPLICATE)[inside]
        painted = cv2.warpPerspective(texels, warp, size, borderMode=cv2.BORDER_REPLICATE)[inside]
        self.colour[inside] += cover[:, None] * (painted - self.colour[inside])
        self.codes[inside] = code
        self.depth[inside] = float(np.mean(np.asarray(corners)[:, 2])) - self.camera.station
        self.owner[inside] = self.things

    def darken(self, pixels: ndarray, factor: float) -> None:
        """A soft shadow over a polygon of canvas pixels (N, 2), whatever is there."""
        mask = np.zeros(self.codes.shape, np.float32)
        cv2.fillPoly(mask, [np.round(np.clip(pixels, -4000, 4000) * 16).astype(np.int32)], 1.0, shift=4)
        self.colour *= 1 - (1 - factor) * cv2.GaussianBlur(mask, (0, 0), 1.0)[..., None]

    def speckle(self, rng: np.random.Generator, strength: float, grain: int) -> None:
        """Texture on the present thing: cells of ``grain`` pixels lighter and darker by up to ``strength``."""
        mine = self.owner == self.things
        height, width = self.codes.shape
        cells = rng.uniform(-strength, strength, (-(-height // grain), -(-width // grain))).astype(np.float32)
        self.colour[mine] *= 1 + cv2.resize(cells, (width, height), interpolation=cv2.INTER_LINEAR)[mine, None]

    def blur_border(self) -> None:
        """Void along the outline of the present thing, as where annotators could not tell."""
        mine = (self.owner == self.things).astype(np.uint8)
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        self.codes[cv2.dilate(mine, cross) != cv2.erode(mine, cross)] = VOID

    def develop(self, rng: np.random.Generator) -> tuple[ndarray, ndarray]:
        """The photograph (H W 3, uint8) and its codes (H W), at the final size."""
        light = self.light
        solid = (self.depth < FARTHEST)[..., None]
        lit = np.where(solid, self.colour * rgb(light.gain), self.colour)
        clear = np.where(solid, np.exp(-self.depth / light.sight)[..., None], 1)
        seen = clear * lit + (1 - clear) * rgb(light.skyline)
        size = (self.camera.width // SUPERSAMPLING, self.camera.height // SUPERSAMPLING)
        photograph = cv2.resize(seen.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        photograph *= vignette(photograph.shape[:2])[..., None]
        photograph += rng.normal(0, light.noise, photograph.shape)
        return np.clip(np.round(photograph), 0, 255).astype(np.uint8), self.codes[::SUPERSAMPLING, ::SUPERSAMPLING]


def shrink(texels: ndarray, opacity: ndarray | None, pixels: ndarray) -> tuple[ndarray, ndarray | None]:
    """A texture no finer than about the pixels it lands on, so that distant walls do not flicker."""
    extent = np.ptp(pixels, 0)
    height, width = texels.shape[:2]
    wanted = (int(np.clip(extent[0] * 1.3, 2, width)), int(np.clip(extent[1] * 1.3, 2, height)))
    smaller = cv2.resize(texels, wanted, interpolation=cv2.INTER_AREA)
    return smaller, None if opacity is None else cv2.resize(opacity, wanted, interpolation=cv2.INTER_AREA)


def rgb(colour: ArrayLike) -> ndarray:
    """A colour to calculate with, (3,)."""
    return np.asarray(colour, np.float32)


def vignette(size: tuple[int, int]) -> ndarray:
    """Corners of a photograph are a little darker."""
    y, x = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    return (1 - 0.09 * (x * x + y * y)).astype(np.float32)


def noise(rng: np.random.Generator, size: tuple[int, int], cells: tuple[int, ...]) -> ndarray:
    """Smooth noise of a size (H, W) about 0, summed over grids of so many cells, each half as strong as the last."""
    total = np.zeros(size, np.float32)
    for octave, count in enumerate(cells):
        grid = rng.uniform(-1, 1, (count, max(2, count * size[1] // size[0]))).astype(np.float32)
        total += cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC) / 2**octave
    return total

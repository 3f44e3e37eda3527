"""Sky and ground: what is there before anything stands on it."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy import ndarray

from .canvas import PAVEMENT, ROAD, VEGETATION, VOID, Canvas, noise, rgb

TEXELS_PER_METRE = 24
TILE = 480


@dataclass(frozen=True)
class Ground:
    """A cross-section of the street, metres from its middle, and what crosses it along the way."""

    road: float  # half the width of the road
    pavement: float  # where the pavement ends
    verge: str  # what lies beyond: "grass" or "paving"
    asphalt: float  # brightness of the road
    paving: tuple[float, float, float]
    junctions: tuple[tuple[float, float], ...]
    crossings: tuple[float, ...]
    walls: tuple[tuple[float, float, float, float], ...]  # x, start, end, height of what throws a long shadow


def paint_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """A gradient with clouds, brighter towards the horizon."""
    light, camera = canvas.light, canvas.camera
    height = int(camera.horizon) + 2
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** 1.4
    sky = (1 - down) * rgb(light.zenith) + down * rgb(light.skyline)
    sky = np.repeat(sky, camera.width, 1)
    cover = noise(rng, (height, camera.width), (3, 6, 12, 24)) + 2.2 * light.clouds - 1
    cover = np.clip(cover, 0, 1)[..., None] * (1 - 0.5 * down)
    bright = 0.35 * rgb(light.skyline) + 0.65 * rgb((245, 245, 248) if not light.lamps else (150, 110, 125))
    shade = 1 + 0.10 * noise(rng, (height, camera.width), (5, 10, 20))[..., None]
    canvas.colour[:height] = sky + 0.75 * cover * (bright * shade - sky)


def paint_skyline(canvas: Canvas, rng: np.random.Generator, code: int) -> None:
    """Hills or far houses along the horizon."""
    camera = canvas.camera
    columns = np.arange(0, camera.width + 1, 4 if code == VEGETATION else 14)
    tops = rng.uniform(3, 13, len(columns)) * camera.width / 384
    if code != VEGETATION:
        columns, tops = np.repeat(columns, 2)[1:], np.repeat(tops, 2)[:-1]
    else:
        tops = np.convolve(tops, np.ones(5) / 5, "same") * 1.5
    outline = np.stack([columns, camera.horizon - tops], 1)
    corners = [(camera.width, camera.horizon + 2), (0, camera.horizon + 2)]
    colour = (92, 112, 88) if code == VEGETATION else (128, 122, 120)
    canvas.begin()
    canvas.fill(np.concatenate([outline, corners]), colour, code, 140.0)


def paint_ground(canvas: Canvas, ground: Ground, rng: np.random.Generator) -> None:
    """Road, pavement and what lies beyond, with marks, seams and the shadows of houses."""
    first, x, s, z = canvas.camera.ground()
    across = np.abs(x)
    junction = np.zeros(x.shape, bool)
    for start, end in ground.junctions:
        junction |= (s > start) & (s < end)
    road = (across < ground.road) | junction
    pavement = ~road & ((across < ground.pavement) | (ground.verge == "paving"))
    grain = sample(tile(rng), x, s)
    fade = np.exp(-z / 30)
    colour = np.empty((*x.shape, 3), np.float32)
    colour[:] = rgb((86, 118, 52)) * (1 + 0.9 * grain * fade)[..., None]
    colour[road] = asphalt(ground, x, s, grain, fade, junction)[road]
    colour[pavement] = paving(ground, x, s, grain, fade)[pavement]
    colour *= shadow(canvas, ground, x, s)[..., None]
    canvas.colour[first:] = colour
    canvas.codes[first:] = np.where(road, ROAD, np.where(pavement, PAVEMENT, VEGETATION))
    canvas.depth[first:] = z


def tile(rng: np.random.Generator) -> ndarray:
    """A square of ground, light and dark about 0."""
    return 0.5 * noise(rng, (TILE, TILE), (4, 12)) * 0.35 + noise(rng, (TILE, TILE), (60, 120, 240)) * 0.16


def sample(texels: ndarray, x: ndarray, s: ndarray) -> ndarray:
    """The tile laid out over the whole ground."""
    u, v = ((part * TEXELS_PER_METRE % TILE).astype(np.float32) for part in (x, s))
    return cv2.remap(texels, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def asphalt(ground: Ground, x: ndarray, s: ndarray, grain: ndarray, fade: ndarray, junction: ndarray) -> ndarray:
    """The road: wheel tracks, patches, a dashed line in the middle, lines along the edges, zebra crossings."""
    lane = np.abs(np.abs(x) - ground.road / 2)
    patch = (np.floor(s / 7.3) * 31 + np.floor(x / 2.1) * 17) % 11 < 1
    value = ground.asphalt * (1 + 0.55 * grain * fade - 0.05 * (np.abs(lane - 0.8) < 0.3) - 0.13 * patch)
    marks = (np.abs(x) < 0.08) & (s % 7 < 3.5)
    marks |= np.abs(np.abs(x) - ground.road + 0.35) < 0.06
    marks &= ~junction
    for start in ground.crossings:
        marks |= (s > start) & (s < start + 2.8) & (x % 1.0 < 0.5) & (np.abs(x) < ground.road - 0.2)
    value = np.where(marks, 0.25 * value + 0.75 * 205 * (1 + 0.6 * grain), value)
    return value[..., None] * rgb((1.0, 1.0, 1.03))


def paving(ground: Ground, x: ndarray, s: ndarray, grain: ndarray, fade: ndarray) -> ndarray:
    """Slabs with seams, and a kerb towards the road."""
    seam = ((np.abs(x) % 0.8 < 0.05) | (s % 0.8 < 0.05)) * fade
    value = 1 + 0.5 * grain * fade - 0.22 * seam
    edge = np.abs(x) - ground.road
    value = np.where(edge < 0.16, 1.18, np.where(edge < 0.22, 0.7, value))
    return value[..., None] * rgb(ground.paving)


def shadow(canvas: Canvas, ground: Ground, x: ndarray, s: ndarray) -> ndarray:
    """The factor by which houses between the ground and the sun darken it."""
    light = canvas.light
    dark = np.zeros(x.shape, np.float32)
    for wall, start, end, height in ground.walls:
        if wall * light.sun_side > 0:
            away = (wall - x) * light.sun_side
            along = s + 0.35 * away
            dark[(away > 0) & (away < height * light.cast) & (along > start) & (along < end)] = 1
    return 1 - (1 - light.shade) * cv2.GaussianBlur(dark, (0, 0), 1.2)


def paint_hood(canvas: Canvas, height: float) -> None:
    """The hood of the car the camera sits in, along the lower edge: void."""
    camera = canvas.camera
    columns = np.linspace(0, camera.width, 25)
    arch = camera.height - height * (1 - 0.55 * ((columns / camera.width - 0.5) * 2) ** 2)
    outline = np.concatenate([np.stack([columns, arch], 1), [(camera.width, camera.height), (0, camera.height)]])
    canvas.begin()
    canvas.fill(outline, (46, 49, 56), VOID, 1.0)
    canvas.fill(outline + np.array([0, 3]), (64, 68, 77), VOID, 1.0)

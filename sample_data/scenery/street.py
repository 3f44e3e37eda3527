"""A street and its traffic, drawn by chance from the name of a drive, and the frames seen along it."""

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy import ndarray

from .buildings import WALLS, Fence, Hedge, House
from .canvas import BUILDING, SUPERSAMPLING, VEGETATION, Camera, Canvas, Light
from .surfaces import Ground, paint_ground, paint_hood, paint_sky, paint_skyline
from .things import Car, Clutter, Lamp, Person, Sign, Thing, Tree

Chance = np.random.Generator
Item = House | Fence | Hedge | Car | Person | Tree | Lamp | Sign | Clutter
Spans = tuple[tuple[float, float], ...]
SEED = 3
LENGTH = 190.0  # metres of street that are built
SIGHT = 110.0  # metres ahead of the camera that are drawn
SECONDS_A_FRAME = 0.5
WEATHER = {
    "noon": Light((74, 128, 204), (196, 216, 234), (1.06, 1.0, 0.9), 0.35, 420, cast=0.75, shade=0.5),
    "cloud": Light((168, 174, 184), (222, 224, 228), (0.86, 0.89, 0.94), 0.9, 260, noise=2.5),
    "haze": Light((198, 202, 203), (220, 219, 212), (0.92, 0.9, 0.86), 0.6, 48, noise=2.5),
    "dusk": Light((66, 68, 112), (238, 160, 104), (0.72, 0.6, 0.6), 0.45, 240, 0, 2.2, 0.72, lamps=True, noise=3.5),
}


@dataclass(frozen=True)
class Street:
    """Everything that stays the same over the frames of one drive."""

    light: Light
    camera: Camera
    ground: Ground
    items: tuple[Item, ...]
    pace: float  # metres from frame to frame
    skyline: int
    hood: float
    seed: int


def draw_frame(street: Street, frame: int) -> tuple[ndarray, ndarray]:
    """The photograph (H W 3, uint8 RGB) and the codes (H W, uint8) of one frame of a drive."""
    rng = np.random.default_rng((street.seed, frame))
    time = frame * SECONDS_A_FRAME
    station = frame * street.pace
    bounce, sway = rng.normal(0, 1.2), rng.normal(0, 0.08)
    camera = replace(
        street.camera,
        station=station,
        horizon=street.camera.horizon + bounce,
        lateral=street.camera.lateral + sway,
    )
    canvas = Canvas(camera, street.light)
    paint_sky(canvas, np.random.default_rng(street.seed))
    paint_skyline(canvas, np.random.default_rng(street.seed), street.skyline)
    paint_ground(canvas, street.ground, np.random.default_rng(street.seed))
    for item in in_view(street, station, time):
        item.paint(canvas, time)
    if street.hood:
        paint_hood(canvas, street.hood)
    return canvas.develop(rng)


def in_view(street: Street, station: float, time: float) -> list[Item]:
    """What lies ahead, the farthest first."""

    def away(item: Item) -> float:
        return (item.foot(time)[1] if isinstance(item, Thing) else item.far) - station

    return sorted((item for item in street.items if 0 < away(item) < SIGHT), key=away, reverse=True)


def plan_street(drive: str, size: tuple[int, int], traffic: float) -> Street:
    """The street of a drive such as ``dusk02``, for photographs of a size (H, W).

    ``traffic`` multiplies the number of cars and people.
    """
    seed = crc32(drive.encode(), SEED)
    rng = np.random.default_rng(seed)
    light = vary(WEATHER[drive.rstrip("0123456789")], rng)
    road = rng.uniform(4.5, 6.0)
    kerb = road + rng.uniform(2.2, 4.0)
    junction = rng.uniform(28, 60)
    junctions = ((junction, junction + 9.0), (junction + 60.0, junction + 69.0))
    lots = [item for side in (-1, 1) for item in plan_side(rng, side, kerb + rng.uniform(0.2, 2.5), junctions)]
    ground = Ground(
        road=road,
        pavement=kerb,
        verge=str(rng.choice(["grass", "paving"])),
        asphalt=rng.uniform(74, 112),
        paving=tuple(rng.uniform(112, 158) * np.array([1.02, 1.0, rng.uniform(0.9, 1.0)])),
        junctions=junctions,
        crossings=(junction - 4.0,),
        walls=tuple((i.x, i.start, i.end, i.height) for i in lots if isinstance(i, House)),
    )
    traffic_items = [*plan_cars(rng, road, junctions, traffic), *plan_people(rng, road, kerb, junction, traffic)]
    furniture = plan_furniture(rng, road, kerb, junctions)
    return Street(
        light=light,
        camera=plan_camera(rng, size, road),
        ground=ground,
        items=(*lots, *traffic_items, *furniture),
        pace=rng.uniform(2.5, 5.5),
        skyline=int(rng.choice([BUILDING, VEGETATION])),
        hood=float(rng.choice([0, 0, 1])) * rng.uniform(14, 24),
        seed=seed,
    )


def vary(light: Light, rng: Chance) -> Light:
    """The same weather on another day."""
    brightness, warmth = rng.uniform(0.8, 1.12), rng.uniform(0.95, 1.05)
    red, green, blue = light.gain
    return replace(
        light,
        gain=(red * brightness * warmth, green * brightness, blue * brightness / warmth),
        clouds=light.clouds + rng.uniform(-0.25, 0.2),
        sight=light.sight * rng.uniform(0.8, 1.4),
        sun_side=int(rng.choice([-1, 1])) if light.cast else 0,
    )


def plan_camera(rng: Chance, size: tuple[int, int], road: float) -> Camera:
    """A camera in the right-hand lane, looking along the street."""
    height, width = (SUPERSAMPLING * side for side in size)
    return Camera(
        height=height,
        width=width,
        focal=width * rng.uniform(0.62, 0.8),
        horizon=height * rng.uniform(0.42, 0.52),
        eye=rng.uniform(1.35, 1.9),
        lateral=road * rng.uniform(0.22, 0.36),
        bend=rng.uniform(-0.0022, 0.0022),
    )


def plan_side(rng: Chance, side: int, x: float, junctions: Spans) -> list[Item]:
    """Houses, and gardens with trees behind a fence or a hedge, along one side of the street."""
    items: list[Item] = []
    green, fenced = rng.uniform(0.15, 0.5), rng.random() < 0.4
    start = -8.0
    while start < LENGTH:
        length = rng.uniform(8, 17)
        end = start + length
        crossed = next((b for a, b in junctions if start < b and end > a - 1), None)
        if crossed is not None:
            start = crossed + 1.5
            continue
        if rng.random() < green:
            items += plan_garden(rng, side * x, start, end, fenced)
        else:
            material = str(rng.choice(list(WALLS)))
            floors, pitched = rng.integers(2, 7), bool(rng.random() < 0.45)
            seed = number(rng)
            height = float((2 if pitched else 0) + min(floors, 4 if pitched else 7) * 3.0 + 1.2)
            items.append(House(side * x, start, end, height, material, pitched, seed))
        start = end + (rng.uniform(2, 5) if rng.random() < 0.25 else 0)
    return items


def plan_garden(rng: Chance, x: float, start: float, end: float, fenced: bool) -> list[Item]:
    """Trees behind a fence, a hedge or nothing."""
    side = 1 if x > 0 else -1
    items: list[Item] = [
        Tree(x + side * rng.uniform(2, 6), s, number(rng)) for s in np.arange(start + 2, end - 1, rng.uniform(2.5, 5))
    ]
    behind = Hedge(x + side * 7.5, start, end, rng.uniform(2.5, 4.5), number(rng))
    front = rng.random()
    seed = number(rng)
    if fenced:
        items.append(Fence(x, start, end, rng.uniform(1.0, 1.9), seed))
    elif front < 0.5:
        items.append(Hedge(x, start, end, rng.uniform(0.9, 1.6), seed))
    return [*items, behind]


def plan_cars(rng: Chance, road: float, junctions: Spans, traffic: float) -> list[Car]:
    """Cars parked at both kerbs and cars that drive."""
    cars: list[Car] = []
    for side in (-1, 1):
        s = rng.uniform(4, 16)
        while s < LENGTH:
            if clear(s, 7, 2, junctions) and rng.random() < 0.45 * traffic:
                cars.append(Car(side * (road - rng.uniform(0.95, 1.15)), s, number(rng)))
            s += rng.uniform(5.6, 10)
    s = rng.uniform(7, 16)
    while s < LENGTH:
        ahead = rng.random() < 0.5
        x, speed = (road * 0.26, rng.uniform(3, 9)) if ahead else (-road * 0.26, -rng.uniform(4, 9))
        cars.append(Car(x + rng.normal(0, 0.15), s, number(rng), 0.0, speed))
        s += rng.uniform(10, 34) / traffic
    return cars


def plan_people(rng: Chance, road: float, kerb: float, junction: float, traffic: float) -> list[Person]:
    """People on the pavements, and some who cross."""
    people: list[Person] = []
    for _ in range(rng.poisson(24 * traffic)):
        x = float(rng.choice([-1, 1])) * rng.uniform(road + 0.4, kerb - 0.2)
        s, seed = rng.uniform(5, LENGTH), number(rng)
        people.append(Person(x, s, seed, 0.0, float(rng.choice([-1.3, 0, 1.3]))))
        if rng.random() < 0.35:
            people.append(Person(x + rng.uniform(0.4, 0.6), s + 0.2, seed + 1, 0.0, people[-1].speed_s))
    crossing = [
        Person(rng.uniform(-road, road), junction - 2.6 + rng.normal(0, 0.5), number(rng), 1.1)
        for _ in range(rng.poisson(3 * traffic))
    ]
    return people + crossing


def plan_furniture(rng: Chance, road: float, kerb: float, junctions: Spans) -> list[Item]:
    """Lamps and clutter; in some streets trees, signs and railings before the junctions."""
    items: list[Item] = []
    lamps, trees = rng.uniform(14, 26), rng.random() < 0.4
    for side in (-1, 1):
        items += [Lamp(side * (road + 0.4), s, number(rng)) for s in np.arange(rng.uniform(4, 12), LENGTH, lamps)]
        spots = np.arange(rng.uniform(2, 9), LENGTH, rng.uniform(8, 13))
        items += [Tree(side * (road + 0.7), s, number(rng)) for s in spots if trees and clear(s, 3, 3, junctions)]
        items += [Clutter(side * (kerb - 0.5), s, number(rng)) for s in rng.uniform(5, LENGTH, rng.poisson(4))]
    if rng.random() < 0.5:
        for start, _ in junctions:
            items.append(Sign(road + 0.5, start - rng.uniform(1, 3), number(rng)))
            items.append(Sign(-road - 0.5, start - rng.uniform(4, 12), number(rng)))
    if rng.random() < 0.3:
        for start, _ in junctions:
            length, seed = rng.uniform(8, 18), 2 * int(rng.integers(1 << 29))
            items += [Fence(side * (road + 0.25), start - 6 - length, start - 6, 1.05, seed) for side in (-1, 1)]
    return items


def clear(s: float, before: float, after: float, junctions: Spans) -> bool:
    """Whether a place keeps so many metres from every junction."""
    return all(not start - before < s < end + after for start, end in junctions)


def number(rng: Chance) -> int:
    """A seed for the looks of one thing."""
    return int(rng.integers(1 << 30))

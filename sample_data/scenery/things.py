"""What stands and moves on the street. Each thing has a foot (x, s) and paints itself."""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from .canvas import CAR, PERSON, POLE, SIGN, VEGETATION, VOID, Canvas, rgb

BODIES = ((176, 30, 32), (34, 62, 120), (205, 208, 210), (40, 42, 46), (120, 124, 130), (210, 198, 160), (40, 92, 66))
CLOTHES = ((160, 44, 44), (48, 62, 110), (60, 60, 62), (196, 188, 176), (88, 104, 70), (196, 150, 60), (120, 70, 110))
SIGNS = (("disc", (196, 36, 36)), ("triangle", (200, 44, 40)), ("square", (36, 78, 168)), ("square", (28, 110, 70)))
SUN_FROM_ABOVE = 0.35
CLUTTERED = 48.0  # metres: people, lamps and signs beyond are too small to tell and are left out


@dataclass(frozen=True)
class Thing:
    """A foot on the ground, a seed for looks, and a speed along x and s in metres a second."""

    x: float
    s: float
    seed: int
    speed_x: float = 0.0
    speed_s: float = 0.0

    @property
    def far(self) -> float:
        return self.s

    def foot(self, time: float) -> tuple[float, float]:
        return self.x + self.speed_x * time, self.s + self.speed_s * time

    def distance(self, canvas: Canvas, time: float) -> float:
        return self.foot(time)[1] - canvas.camera.station


class Car(Thing):
    """A car seen from behind, or from the front when it comes towards the camera."""

    def paint(self, canvas: Canvas, time: float) -> None:
        x, s = self.foot(time)
        if s - canvas.camera.station < 2.6:
            return
        rng = np.random.default_rng(self.seed)
        paint = rgb(BODIES[rng.integers(len(BODIES))]) * rng.uniform(0.85, 1.1)
        half, length, roof = rng.uniform(0.82, 0.95), rng.uniform(3.7, 4.6), rng.uniform(1.38, 1.9)
        cast_on_ground(canvas, (x, s + length / 2), half * 1.25, length * 0.62)
        canvas.begin()
        side = -1 if x - canvas.camera.lateral > 0 else 1  # the flank that the camera sees
        block = [(x + a * half, y, s + b * length) for a in (-1, 1) for y in (0.3, 0.92) for b in (0, 1)]
        canvas.hull(np.array(block), tuple(paint * 0.9), CAR)
        glass = rgb((38, 44, 52))
        cabin = [(x + a * half * 0.94, 0.92, s + length * b) for a in (-1, 1) for b in (0.05, 0.8)]
        cabin += [(x + a * half * 0.74, roof, s + length * b) for a in (-1, 1) for b in (0.14, 0.58)]
        canvas.hull(np.array(cabin), tuple(paint * 0.8), CAR)
        flank(canvas, (x + side * half, s), length, roof, paint)
        pane = [(x + a * half * 0.8, 0.97, s) for a in (-1, 1)] + [
            (x + a * half * 0.66, roof - 0.1, s) for a in (1, -1)
        ]
        canvas.shape(np.array(pane), tuple(glass * 1.25), CAR)
        self.end(canvas, (x, s), half, paint)
        if rng.random() < 0.6 and s - canvas.camera.station < 30:
            canvas.blur_border()

    def end(self, canvas: Canvas, foot: tuple[float, float], half: float, paint: ndarray) -> None:
        """Body, bumper, wheels, plate and lamps of the end towards the camera."""
        x, s = foot
        for a in (-0.72, 0.72):
            canvas.shape(plate(x + a * half, s, 0.13 * half * 2, 0.0, 0.34), (22, 22, 24), CAR)
        canvas.shape(plate(x, s, half, 0.28, 0.95), tuple(paint), CAR)
        canvas.shape(plate(x, s, half * 0.98, 0.28, 0.45), tuple(paint * 0.6), CAR)
        canvas.shape(plate(x, s, 0.26, 0.5, 0.62), (205, 200, 170), CAR)
        oncoming = self.speed_s < 0
        lamp = (236, 234, 214) if oncoming else (168, 20, 22)
        if canvas.light.lamps:
            lamp = canvas.light.emit((255, 250, 225) if oncoming else (240, 40, 36))
        for a in (-0.78, 0.78):
            canvas.shape(plate(x + a * half, s, 0.15, 0.66, 0.84), lamp, CAR)


def flank(canvas: Canvas, foot: tuple[float, float], length: float, roof: float, paint: ndarray) -> None:
    """The side of a car: body, windows, wheels."""
    x, s = foot

    def along(*points: tuple[float, float]) -> ndarray:
        return np.array([(x, y, s + share * length) for share, y in points])

    shaded = paint * (0.72 if canvas.light.cast else 0.86)
    canvas.shape(along((0, 0.3), (0, 0.95), (0.8, 0.95), (1, 0.78), (1, 0.3)), tuple(shaded), CAR)
    canvas.shape(along((0.08, 0.98), (0.16, roof - 0.09), (0.56, roof - 0.09), (0.74, 0.98)), (34, 40, 48), CAR)
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for centre in (0.2, 0.82):
        for radius, colour in ((0.33, (24, 24, 26)), (0.17, (130, 132, 136))):
            wheel = [(x, 0.33 + radius * np.sin(a), s + centre * length + radius * np.cos(a)) for a in turn]
            canvas.shape(np.array(wheel), colour, CAR)


class Person(Thing):
    """Somebody who walks or waits."""

    def paint(self, canvas: Canvas, time: float) -> None:
        x, s = self.foot(time)
        if not 2.5 < s - canvas.camera.station < CLUTTERED:
            return
        rng = np.random.default_rng(self.seed)
        tall = rng.uniform(1.5, 1.88)
        coat, trousers = (rgb(CLOTHES[i]) for i in rng.choice(len(CLOTHES), 2, replace=False))
        skin = rgb((222, 178, 150)) * rng.uniform(0.45, 1)
        stride = 0.26 * np.sin(time * 7 + rng.uniform(0, 6)) if self.speed_x or self.speed_s else 0.06
        cast_on_ground(canvas, (x, s), 0.32, 0.3)
        canvas.begin()

        def limb(points: list[tuple[float, float]], colour: ndarray) -> None:
            canvas.shape(np.array([(x + a, y * tall, s) for a, y in points]), tuple(colour), PERSON)

        for swing, shade in ((stride, 0.8), (-stride, 1.0)):
            limb([(-0.1, 0.5), (0.1, 0.5), (swing + 0.07, 0), (swing - 0.07, 0)], trousers * 0.7 * shade)
            limb(
                [(-0.2, 0.8), (-0.1, 0.8), (-swing * 0.8 + 0.02, 0.44), (-swing * 0.8 - 0.08, 0.44)], coat * shade * 0.8
            )
        limb([(-0.2, 0.83), (0.2, 0.83), (0.17, 0.44), (-0.17, 0.44)], coat)
        if rng.random() < 0.4:
            limb([(0.16, 0.62), (0.34, 0.62), (0.34, 0.4), (0.16, 0.4)], rgb((70, 52, 40)))
        turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        limb([(0.105 * np.cos(a), 0.92 + 0.075 * np.sin(a)) for a in turn], skin)
        limb([(0.11 * np.cos(a), 0.945 + 0.06 * np.sin(a)) for a in turn[:8]], rgb((52, 40, 32)))
        if rng.random() < 0.6 and s - canvas.camera.station < 13:
            canvas.blur_border()


class Tree(Thing):
    """A trunk and a crown of many leafy lumps."""

    def paint(self, canvas: Canvas, time: float) -> None:
        if self.distance(canvas, time) < 2:
            return
        rng = np.random.default_rng(self.seed)
        stem, radius = rng.uniform(1.9, 3.2), rng.uniform(1.4, 2.7)
        leaf = (
            rng.uniform((46, 76, 30), (98, 122, 54))
            if rng.random() < 0.8
            else rng.uniform((130, 92, 36), (166, 116, 50))
        )
        cast_on_ground(canvas, (self.x, self.s), radius * 0.8, radius * 0.8)
        canvas.begin()
        canvas.shape(plate(self.x, self.s, rng.uniform(0.1, 0.19), 0, stem + 0.6), (82, 66, 52), VEGETATION)
        turn = np.linspace(0, 2 * np.pi, 11, endpoint=False)
        centres = np.clip(rng.normal(0, 0.45, (34, 2)), -0.8, 0.8) * radius
        for dx, dy in centres[np.argsort(centres[:, 1])]:
            size = radius * rng.uniform(0.28, 0.5)
            light = 0.8 + SUN_FROM_ABOVE * dy / radius + rng.uniform(-0.12, 0.12)
            light += 0.2 * canvas.light.sun_side * dx / radius
            outline = [
                (self.x + dx + size * np.cos(a) * r, stem + radius + dy + size * np.sin(a) * r, self.s)
                for a, r in zip(turn, rng.uniform(0.8, 1.15, 11), strict=True)
            ]
            canvas.shape(np.array(outline), tuple(rgb(leaf) * light), VEGETATION)
        canvas.speckle(rng, 0.34, 3)
        if rng.random() < 0.4:
            canvas.blur_border()


class Lamp(Thing):
    """A street lamp: a pole with an arm over the road."""

    def paint(self, canvas: Canvas, time: float) -> None:
        if not 1.8 < self.distance(canvas, time) < CLUTTERED:
            return
        rng = np.random.default_rng(self.seed)
        tall, arm = rng.uniform(5.0, 7.0), -1.4 if self.x > 0 else 1.4
        grey = rgb((104, 108, 108)) * rng.uniform(0.6, 1.25)
        canvas.begin()
        half = thin(canvas, 0.09, self.distance(canvas, time))
        canvas.shape(plate(self.x, self.s, half * 1.3, 0, 1.1), tuple(grey * 0.9), POLE)
        canvas.shape(plate(self.x, self.s, half, 0, tall), tuple(grey), POLE)
        beam = [(self.x, tall, self.s), (self.x + arm, tall + 0.25, self.s), (self.x + arm, tall + 0.1, self.s)]
        canvas.shape(np.array([*beam, (self.x, tall - 0.2, self.s)]), tuple(grey), POLE)
        bulb = canvas.light.emit((255, 236, 190)) if canvas.light.lamps else (190, 192, 190)
        canvas.shape(plate(self.x + arm, self.s, 0.3, tall, tall + 0.16), bulb, POLE)


class Sign(Thing):
    """A traffic sign on its pole."""

    def paint(self, canvas: Canvas, time: float) -> None:
        if not 2 < self.distance(canvas, time) < 0.8 * CLUTTERED:
            return
        rng = np.random.default_rng(self.seed)
        form, colour = SIGNS[rng.integers(len(SIGNS))]
        size, y = rng.uniform(0.5, 0.78), rng.uniform(2.2, 2.6)
        canvas.begin()
        half = thin(canvas, 0.05, self.distance(canvas, time))
        canvas.shape(plate(self.x, self.s, half, 0, y), (128, 130, 130), POLE)
        corners = {"disc": 16, "triangle": 3, "square": 4}[form]
        turn = np.linspace(0, 2 * np.pi, corners, endpoint=False) + (np.pi / 4 if form == "square" else np.pi / 2)
        for share, tint in ((1.0, colour), (0.66, (232, 230, 224) if form != "square" else colour)):
            board = [(self.x + share * size * np.cos(a), y + share * size * np.sin(a), self.s) for a in turn]
            canvas.shape(np.array(board), tint, SIGN)
        canvas.shape(
            plate(self.x, self.s, size * 0.28, y - 0.1, y + 0.14),
            (30, 30, 34) if form != "square" else (235, 235, 235),
            SIGN,
        )


class Clutter(Thing):
    """Bins, boxes and the like, which belong to no class: void."""

    def paint(self, canvas: Canvas, time: float) -> None:
        if self.distance(canvas, time) < 2:
            return
        rng = np.random.default_rng(self.seed)
        colour = rgb(rng.uniform((30, 40, 36), (130, 120, 96)))
        half, tall = rng.uniform(0.25, 0.6), rng.uniform(0.5, 1.15)
        cast_on_ground(canvas, (self.x, self.s), half * 1.2, 0.4)
        canvas.begin()
        box = [(self.x + a * half, y, self.s + b) for a in (-1, 1) for y in (0, tall) for b in (0, 0.7)]
        canvas.hull(np.array(box), tuple(colour * 0.75), VOID)
        canvas.shape(plate(self.x, self.s, half, 0, tall), tuple(colour), VOID)
        canvas.shape(plate(self.x, self.s, half * 1.05, tall - 0.14, tall), tuple(colour * 0.6), VOID)


def plate(x: float, s: float, half: float, low: float, high: float) -> ndarray:
    """An upright rectangle that faces the camera."""
    return np.array([(x - half, low, s), (x + half, low, s), (x + half, high, s), (x - half, high, s)])


def thin(canvas: Canvas, half: float, distance: float) -> float:
    """Half a pole's width in metres; at least 1.5 pixels of the photograph in all, so that it does not dissolve."""
    return max(half, 1.5 * distance / canvas.camera.focal)


def cast_on_ground(canvas: Canvas, centre: tuple[float, float], across: float, along: float) -> None:
    """A dark ellipse on the ground; the ground keeps its codes."""
    light, camera = canvas.light, canvas.camera
    shift = -light.sun_side * light.cast * 0.5
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    world = np.stack([centre[0] + shift + across * np.cos(turn), 0 * turn, centre[1] + along * np.sin(turn)], 1)
    if world[:, 2].min() < camera.station + 1.5:
        return
    canvas.darken(camera.project(world), 0.5 if light.cast else 0.72)

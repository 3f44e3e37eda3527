"""The street that ``make.py`` drives down: a world in metres, painted from far to near.

::

    canvas.py     Camera: metres -> pixels; Canvas: colour, code and distance of each pixel; Light
    surfaces.py   sky and ground
    buildings.py  facades, roofs, fences
    things.py     cars, people, trees, poles, signs, clutter
    street.py     where they stand, and the frames of one drive

World axes: x to the right of the middle of the road, y up from the ground, s along the street, all in metres.
"""

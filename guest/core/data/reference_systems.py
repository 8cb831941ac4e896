#!/usr/bin/env python3
"""Writes the tables of reference systems: epsg.txt, esri.txt and iau.txt beside this file.

Needs pyproj (made with pyproj 3.7.2, PROJ 9.5.1, EPSG v11.022): pip install pyproj && python3 reference_systems.py

A line per code, ascending: the code, `n` if the authority's first axis is north or `e` otherwise, the PROJ string
without its plus signs. `towgs84` is the datum shift that PROJ itself uses in the middle of the system's area when it
has no shift grids (as pyproj's wheels have none); without it the datum counts as WGS 84.
"""

import math
import os
import warnings

warnings.filterwarnings("ignore")

import pyproj  # noqa: E402
from pyproj.database import query_crs_info  # noqa: E402
from pyproj.enums import PJType  # noqa: E402
from pyproj.transformer import TransformerGroup  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
KINDS = [PJType.PROJECTED_CRS, PJType.GEOGRAPHIC_2D_CRS, PJType.GEOGRAPHIC_3D_CRS, PJType.COMPOUND_CRS]
DATUM_ELLIPSOIDS = {
    "WGS84": "WGS84", "NAD83": "GRS80", "NAD27": "clrk66", "GGRS87": "GRS80", "potsdam": "bessel",
    "carthage": "clrk80ign", "hermannskogel": "bessel", "ire65": "mod_airy", "nzgd49": "intl", "OSGB36": "airy",
}
# defaults and what PROJ's strings carry beside the projection
DROPPED = {"k=1", "k_0=1", "x_0=0", "y_0=0", "lat_0=0", "lon_0=0", "no_defs", "type", "units=m", "vunits", "geoidgrids", "geoid_crs", "nadgrids", "towgs84", "wktext"}

# where most users are, if that is not the middle of the area: Krovak for Czechia, not Slovakia
POINTS = {code: (14.4, 50.1) for code in (2065, 4156, 5221, 5513, 5514)}


def steps(pipeline):
    step = {}
    for token in pipeline.split():
        key, _, value = token.lstrip("+").partition("=")
        if key == "step":
            yield step
            step = {}
        else:
            step[key] = value
    yield step


def shift_of(operation):
    """The sum of all datum shifts in an operation, as the seven numbers of towgs84."""
    total = [0.0] * 7
    for step in steps(operation):
        if step.get("proj") in ("helmert", "molobadekas"):
            shift = [float(step.get(key, 0)) for key in ("x", "y", "z", "rx", "ry", "rz", "s")]
            if step.get("convention") == "coordinate_frame":
                shift[3:6] = [-rotation for rotation in shift[3:6]]
            if step["proj"] == "molobadekas":
                pivot = [float(step[key]) for key in ("px", "py", "pz")]
                rx, ry, rz = (math.radians(angle / 3600) for angle in shift[3:6])
                scale = 1 + shift[6] * 1e-6
                turned = (
                    scale * (pivot[0] - rz * pivot[1] + ry * pivot[2]),
                    scale * (rz * pivot[0] + pivot[1] - rx * pivot[2]),
                    scale * (-ry * pivot[0] + rx * pivot[1] + pivot[2]),
                )
                shift[:3] = [t + p - m for t, p, m in zip(shift[:3], pivot, turned)]
        elif step.get("proj") == "molodensky":
            shift = [float(step[key]) for key in ("dx", "dy", "dz")] + [0.0] * 4
        else:
            continue
        sign = -1 if "inv" in step else 1
        total = [a + sign * b for a, b in zip(total, shift)]
    return total


def number(value):
    return f"{value:.6f}".rstrip("0").rstrip(".")


def datum_shift(crs, reference):
    area = crs.area_of_use
    operation = None
    try:
        transformer = pyproj.Transformer.from_crs(reference, crs, always_xy=True)
        if area is not None:
            east = area.east if area.east >= area.west else area.east + 360
            point = ((area.west + east) / 2, (area.south + area.north) / 2)
            transformer.transform(*POINTS.get(int(crs.to_authority()[1]), point))
            used = transformer.get_last_used_operation()
            operation = used.to_proj4() or used.definition
    except Exception:
        operation = None
    if operation is None:
        try:
            group = TransformerGroup(reference, crs, always_xy=True)
            operation = group.transformers[0].to_proj4()
        except Exception:
            return ""
    shift = [round(-part, 6) + 0.0 for part in shift_of(operation or "")]
    if not any(shift):
        return ""
    count = 7 if any(shift[3:]) else 3
    return " towgs84=" + ",".join(number(part) for part in shift[:count])


def line(authority, code):
    crs = pyproj.CRS.from_authority(authority, code)
    horizontal = crs.sub_crs_list[0] if crs.is_compound else crs
    north_first = crs.axis_info[0].direction == "north"
    try:
        tokens = [token.lstrip("+") for token in horizontal.to_proj4().split()]
    except Exception:
        tokens = []
    if not tokens:
        operation = horizontal.coordinate_operation
        method = operation.method_name if operation else horizontal.type_name
        tokens = ["proj=" + method.replace(" ", "_")]
    kept = []
    for token in tokens:
        key, _, value = token.partition("=")
        if token in DROPPED or key in DROPPED:
            continue
        kept.append("ellps=" + DATUM_ELLIPSOIDS[value] if key == "datum" else token)
    shift = ""
    if authority != "IAU_2015":
        shift = datum_shift(horizontal, pyproj.CRS.from_epsg(4326))
    return f"{code}{'n' if north_first else 'e'}{' '.join(kept)}{shift}"


def write(authority, name):
    codes = set()
    for kind in KINDS:
        for info in query_crs_info(auth_name=authority, pj_types=[kind], allow_deprecated=True):
            if info.code.isdigit():
                codes.add(int(info.code))
    with open(os.path.join(HERE, name), "w", encoding="ascii") as file:
        for code in sorted(codes):
            file.write(line(authority, code) + "\n")


if __name__ == "__main__":
    for authority, name in (("EPSG", "epsg.txt"), ("ESRI", "esri.txt"), ("IAU_2015", "iau.txt")):
        write(authority, name)

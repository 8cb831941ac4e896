"""Two answers to one request: where they differ."""
import io
import json
import re
from difflib import unified_diff
from xml.etree import ElementTree

import numpy
from PIL import Image, UnidentifiedImageError

from generate import tree

# Mean differences of all samples, of 255, that pass: reprojection, scaling and palettes are done by other libraries.
# Beyond the first, a picture must also fit better where it lies than shifted by a pixel in any direction.
TOLERANCE = 3.0
TOLERANCE_UNSHIFTED = 8.0


def media_type(headers):
    """Without parameters, in lower case."""
    return headers.get('content-type', '').split(';')[0].strip().lower()


def parameters(headers):
    """The parameters of the content type."""
    return ';'.join(part.strip().lower().replace('"', '') for part in headers.get('content-type', '').split(';')[1:])


def differences(theirs, ours):
    """A list of (aspect, detail), empty if the answers agree."""
    found = []
    if theirs[0] != ours[0]:
        found.append(('status', f'{theirs[0]} / {ours[0]}'))
    types = media_type(theirs[1]), media_type(ours[1])
    if types[0] != types[1]:
        found.append(('type', f'{types[0]} / {types[1]}'))
    if found:
        # one of the two says the rest
        return found[:1]
    if parameters(theirs[1]) != parameters(ours[1]):
        found.append(('type parameters', f'{parameters(theirs[1])} / {parameters(ours[1])}'))
    if types[0].startswith('image/'):
        return found + pictures(theirs[2], ours[2])
    if 'xml' in types[0] or 'kml' in types[0]:
        return found + documents(theirs[2], ours[2])
    if tree(theirs[2]) is not None and tree(ours[2]) is not None:
        return found + documents(theirs[2], ours[2])
    if json_of(theirs[2]) is not None and json_of(theirs[2]) == json_of(ours[2]):
        return found
    if theirs[2].strip() != ours[2].strip() and theirs[0] == 200 and types[0] != 'text/html':
        found.append(('text', f'{theirs[2][:200]!r} / {ours[2][:200]!r}'))
    return found


def json_of(body):
    """The value, or None."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def pictures(theirs, ours):
    """Differences of two encoded pictures."""
    try:
        theirs, ours = Image.open(io.BytesIO(theirs)), Image.open(io.BytesIO(ours))
        theirs.load(), ours.load()
    except (UnidentifiedImageError, OSError) as error:
        return [('picture', f'unreadable: {error}')]
    found = []
    if theirs.format != ours.format:
        found.append(('picture format', f'{theirs.format} / {ours.format}'))
    if theirs.size != ours.size:
        return [('size', f'{theirs.size} / {ours.size}')]
    # where few pixels are, one says little
    if min(theirs.size) < 3:
        return found
    # MapProxy's palettes have an alpha of 254 where everything is opaque
    opaque = [picture.convert('RGBA').getextrema()[3][0] >= 250 for picture in (theirs, ours)]
    if opaque[0] != opaque[1]:
        found.append(('opacity', f'{theirs.mode} {opaque[0]} / {ours.mode} {opaque[1]}'))
    a, b = (numpy.asarray(picture.convert('RGBA'), dtype=numpy.int16) for picture in (theirs, ours))
    mean = mean_difference(a, b)
    if mean <= TOLERANCE:
        return found
    if mean <= TOLERANCE_UNSHIFTED and (min(a.shape[:2]) < 16 or mean < shifted(a, b)):
        return found
    # where one shows nothing, it may be black, and the other the ground that was asked for
    black = (a[:, :, :3].max(2) < 16) & (a[:, :, 3] == 255)
    if black.any():
        ground = numpy.median(b[black], axis=0)
        black &= (numpy.abs(b - ground) < 48).all(2)
        rest = b.copy()
        rest[black] = a[black]
        if mean_difference(a, rest) <= TOLERANCE_UNSHIFTED:
            return [('background', f'black / {tuple(ground.astype(int))} at {black.mean():.0%} of the pixels')]
    return found + [('pixels', f'mean difference {mean:.1f}')]


def mean_difference(a, b):
    """Of two arrays of RGBA; colours count as far as they are opaque."""
    seen = numpy.maximum(a[:, :, 3:], b[:, :, 3:]) / 255
    return (numpy.abs(a - b) * numpy.concatenate([seen.repeat(3, 2), numpy.ones_like(seen)], 2)).mean()


def shifted(a, b):
    """The smallest difference where one lies a pixel beside the other."""
    inner = a[1:-1, 1:-1]
    height, width = a.shape[:2]
    return min(mean_difference(inner, b[1 + dy:height - 1 + dy, 1 + dx:width - 1 + dx])
               for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0)))


def plain(element, lines, depth):
    """The element as lines that can be compared; one that says nothing is left out."""
    attributes = ' '.join(
        f'{re.sub("{.*}", "", name)}={number(value)}' for name, value in sorted(element.attrib.items())
        if 'schemaLocation' not in name and value != 'simple')
    text = number((element.text or '').strip())
    if element.tag in ('SRS', 'CRS'):
        text = ' '.join(sorted(text.split()))
    if not (len(element) or attributes or text or element.tag in TELLING):
        return
    lines.append(f'{"  " * depth}{element.tag} {attributes} {text}'.rstrip())
    # the order of reference systems means nothing
    for child in sorted(element, key=lambda child: (child.text or '') if child.tag in ('SRS', 'CRS') else ''):
        plain(child, lines, depth + 1)


# elements that mean something even when they are empty
TELLING = ('ServiceException', 'ExceptionText', 'WMTException', 'TileMapServerError', 'Message')


def number(text):
    """Numbers in one form, to eight digits; addresses without their host."""
    try:
        return ' '.join(f'{round(float(word), 6) + 0.0:.8g}' for word in text.replace(',', ' ').split())
    except ValueError:
        return re.sub(r'https?://(localhost|127\.0\.0\.1)(:\d+)?', '', re.sub(r'\s+', ' ', text)).removesuffix('?')


def documents(theirs, ours):
    """Differences of two XML documents. Messages of exceptions may say the same in other words."""
    if theirs == ours:
        return []
    trees = tree(theirs), tree(ours)
    if trees[0] is None or trees[1] is None:
        return [('document', f'well-formed: {trees[0] is not None} / {trees[1] is not None}')]
    lines = [], []
    for root, out in zip(trees, lines):
        for element in root.iter():
            if element.tag in TELLING:
                element.text = ''
        plain(root, out, 0)
    changed = [line for line in unified_diff(*lines, n=0, lineterm='') if not line.startswith(('---', '+++', '@@'))]
    return [('document', ' | '.join(changed[:6]))] if changed else []

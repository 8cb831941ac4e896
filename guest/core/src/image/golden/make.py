"""Makes the reference numbers of the tests beside this file.

Run with `pip install Pillow==12.1.1 numpy==1.26.4` as `python make.py`. The pictures are computed from formulas that
the tests repeat, so only results are stored.
"""
import io
import struct
import numpy as np
from PIL import Image


def picture(width, height, channels):
    """Smooth waves with some hard edges; the same integer formula as `golden::picture` in the tests."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    bands = []
    for c in range(channels):
        wave = (x * (3 + c) + y * (5 - c)) % 256
        wave = np.where(((x // 7) + (y // 5) + c) % 3 == 0, 255 - wave, wave // 2 + 40 * c)
        bands.append(wave % 256)
    a = np.stack(bands, axis=2).astype(np.uint8)
    if channels == 4:
        a[..., 3] = np.where((x // 6 + y // 4) % 3 == 0, 255, (x * 9 + y * 4) % 256)
    return a


def image(a):
    return Image.fromarray(a[..., 0] if a.shape[2] == 1 else a)


PACKED = open("pillow.raw", "wb")


def save(name, im):
    """All results go into one file, in the order of the loops below, which the tests repeat."""
    PACKED.write(np.asarray(im).tobytes())
    print(name, im.mode, im.size)


METHODS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}

for channels, mode in ((3, "rgb"), (4, "rgba"), (1, "gray")):
    source = image(picture(40, 30, channels))
    for name, method in METHODS.items():
        if mode == "gray" and name == "nearest":
            continue
        # smaller, larger and beyond the edges
        save(f"extent_down_{mode}_{name}", source.transform((25, 19), Image.EXTENT, (1.3, 2.1, 38.7, 28.9), method))
        save(f"extent_up_{mode}_{name}", source.transform((31, 23), Image.EXTENT, (5.2, 6.7, 20.9, 17.1), method))
        save(f"extent_over_{mode}_{name}", source.transform((24, 20), Image.EXTENT, (-4.5, -3.2, 45.5, 35.1), method))

# one quad: upper left, lower left, lower right, upper right
quad = (2.5, 1.5, 4.25, 27.0, 37.5, 24.5, 33.0, 4.75)
for channels, mode in ((3, "rgb"), (4, "rgba")):
    source = image(picture(40, 30, channels))
    for name, method in METHODS.items():
        save(f"quad_{mode}_{name}", source.transform((26, 22), Image.MESH, [((0, 0, 26, 22), quad)], method))

PACKED.close()

# small files of the formats that we read; 40x30 pixels of the picture above
rgb, rgba, gray = (image(picture(40, 30, channels)) for channels in (3, 4, 1))
rgb.convert("CMYK").save("cmyk.jpg", quality=95, subsampling=0)
rgb.save("progressive.jpg", quality=95, subsampling=0, progressive=True)
rgb.save("baseline.jpg", quality=90, restart_marker_rows=1)
gray.save("gray.jpg", quality=95)
gray.convert("I;16").point(lambda v: v * 257).save("gray16.png")
rgba.convert("LA").save("gray_alpha.png")
gray.quantize(16).save("palette16.png")
rgb.quantize(32).save("palette.gif", transparency=3)
rgb.save("lzw.tif", compression="tiff_lzw")
rgba.save("lossless.webp", lossless=True, exact=True)
rgb.save("plain.bmp")

# JPEG files and what libjpeg makes of them, all in one: size, sampling (0 4:4:4, 1 4:2:2, 2 4:2:0, 3 gray), quality,
# units between restart markers, and the lengths of file and pixels, which follow
with open("jpeg.packed", "wb") as packed:

    def jpeg(width, height, sampling, quality, restart=0):
        im = image(picture(width, height, 1 if sampling == 3 else 3))
        out = io.BytesIO()
        sampled = {} if sampling == 3 else {"subsampling": sampling}
        im.save(out, "jpeg", quality=quality, restart_marker_blocks=restart, **sampled)
        pixels = np.asarray(Image.open(out)).tobytes()
        packed.write(struct.pack("<6H", width, height, sampling, quality, restart, len(out.getvalue())))
        packed.write(struct.pack("<H", len(pixels)) + out.getvalue() + pixels)

    for sampling in range(4):
        for size in ((1, 1), (3, 2), (5, 4), (8, 9), (16, 16), (17, 32), (33, 17)):
            jpeg(*size, sampling, 90)
        jpeg(40, 30, sampling, 75)
        jpeg(40, 30, sampling, 75, restart=2)
    for quality in (1, 30, 100):
        jpeg(40, 30, 2, quality)

# quantising: mean absolute error per channel of Pillow's FASTOCTREE, and sizes of its files
print("quantise and size:")


def scene(size):
    """Something like a map: areas, lines and shaded relief; `golden::scene` in the tests."""
    y, x = np.mgrid[0:size, 0:size].astype(np.int64)
    area = (x * x // 97 + y * y // 131 + x * y // 61) // 200 % 6
    base = np.array([[242, 239, 233], [170, 211, 223], [173, 209, 158], [224, 223, 223], [250, 242, 175], [205, 235, 176]])
    a = base[area]
    shade = ((x * 7 + y * 3) % 64) * (area % 3 == 2)
    a = a - shade[..., None] // np.array([2, 3, 2])
    line = (x * 3 + y * 5) % 173 < 4
    a[line] = np.stack([200 + x % 50, 120 + y % 60, 60 + (x + y) % 70], axis=2)[line]
    return np.clip(a, 0, 255).astype(np.uint8)


def waves(size):
    y, x = np.mgrid[0:size, 0:size].astype(np.int64)
    return np.stack([(x * 255) // size, (y * 255) // size, ((x + y) * 3) % 256], axis=2).astype(np.uint8)


def alpha_waves(size):
    y, x = np.mgrid[0:size, 0:size].astype(np.int64)
    alpha = np.clip((x + y) * 2 - size, 0, 255)
    return np.dstack([waves(size), alpha]).astype(np.uint8)


def png_size(im, **kw):
    out = io.BytesIO()
    im.save(out, "png", **kw)
    return len(out.getvalue())


for name, a in (("scene", scene(256)), ("waves", waves(256)), ("alpha_waves", alpha_waves(256))):
    im = Image.fromarray(a)
    for colors in (256, 64, 16):
        q = im.quantize(colors, method=Image.FASTOCTREE, dither=Image.NONE)
        back = np.asarray(q.convert(im.mode)).astype(np.float64)
        premultiplied = lambda v: v[..., :3] * v[..., 3:] / 255 if v.shape[2] == 4 else v
        error = np.abs(premultiplied(back) - premultiplied(a.astype(np.float64))).mean()
        print(f"{name} {colors}: mean error {error:.3f}, png {png_size(q)} bytes")
    print(f"{name}: png of {im.mode} {png_size(im)} bytes; jpeg {len((lambda o: (im.convert('RGB').save(o, 'jpeg', quality=90), o.getvalue())[1])(io.BytesIO()))} bytes")

gray = Image.frombytes("P", (256, 256), np.ascontiguousarray(scene(256)[..., 1]).tobytes())
gray.putpalette([v for level in range(256) for v in (level,) * 3])
print(f"green of scene as indices: png {png_size(gray)} bytes")

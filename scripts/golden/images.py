#!/usr/bin/env python3
"""images.py: cuts the golden pictures of spec/golden/images from Pillow and torchvision.

Needs a Python with Pillow, numpy and torchvision; neither mascon nor its tests need this script.
It writes small JPEG and PNG files of every kind that mascon.image reads, and cases.lua: for each
file the MD5 of its pixels in row-major {channels, height, width} order, and for each transform with
fixed parameters the MD5 of the result for the same input picture.
"""

import hashlib
import io
import os

import numpy as np
import torchvision.transforms.functional as F
from PIL import Image, ImageOps

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "spec", "golden", "images")
MODE = {"nearest": F.InterpolationMode.NEAREST, "bilinear": F.InterpolationMode.BILINEAR,
        "bicubic": F.InterpolationMode.BICUBIC}


def picture(height, width, seed=0):
    """A colour picture of waves and noise."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).normal(0, 12, (height, width, 3))
    waves = np.stack([127 + 127 * np.sin(x / 5 + y / 9), 127 + 127 * np.cos(y / 4), (5 * x + 3 * y) % 256], -1)
    return Image.fromarray((waves + noise).clip(0, 255).astype(np.uint8))


def digest(image):
    """Shape and MD5 of the pixels of a Pillow image."""
    a = np.asarray(image)
    a = a[None] if a.ndim == 2 else a.transpose(2, 0, 1)
    a = np.ascontiguousarray(a)
    return "{{ {}, {}, {}, \"{}\" }}".format(*a.shape, hashlib.md5(a.tobytes()).hexdigest())


def files():
    """Name, bytes and the picture they stand for."""
    rgb = picture(21, 34)
    alpha = Image.fromarray(np.dstack([np.asarray(rgb), np.asarray(rgb.convert("L"))]))
    deep = (np.asarray(rgb.convert("L")).astype(np.uint16) << 8) + 37
    kinds = [
        ("rgb.jpg", rgb, {"quality": 80}), ("fine.jpg", rgb, {"quality": 95, "subsampling": 0}),
        ("progressive.jpg", rgb, {"quality": 70, "progressive": True}), ("gray.jpg", rgb.convert("L"), {}),
        ("cmyk.jpg", rgb.convert("CMYK"), {}),
        ("rgb.png", rgb, {}), ("gray.png", rgb.convert("L"), {}), ("alpha.png", alpha, {}),
        ("grayalpha.png", alpha.convert("LA"), {}), ("palette.png", rgb.quantize(9), {}),
        ("bits.png", rgb.convert("1"), {}), ("deep.png", Image.fromarray(deep), {}),
    ]
    for name, image, options in kinds:
        out = io.BytesIO()
        image.save(out, "JPEG" if name.endswith("jpg") else "PNG", **options)
        if name == "deep.png":
            seen = Image.fromarray((deep >> 8).astype(np.uint8))
        else:
            seen = Image.open(io.BytesIO(out.getvalue()))
            seen = seen.convert({"P": "RGB", "1": "L"}.get(seen.mode, seen.mode))
        yield name, out.getvalue(), seen
    for orientation in (3, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        out = io.BytesIO()
        rgb.save(out, "JPEG", exif=exif)
        yield f"turned{orientation}.jpg", out.getvalue(), ImageOps.exif_transpose(Image.open(io.BytesIO(out.getvalue())))


def transforms(image):
    """Lua text of a transform and its result."""
    for size in ((8, 8), (64, 48), (21, 9), (13, 34), (7, 90), (3, 40)):
        for mode in MODE:
            yield (f'T.Resize({{ {size[0]}, {size[1]} }}, {{ interpolation = "{mode}" }})',
                   F.resize(image, list(size), MODE[mode]))
    yield "T.Resize(15)", F.resize(image, 15)
    yield "T.Resize(30, { max_size = 40 })", F.resize(image, 30, max_size=40)
    yield "T.CenterCrop(16)", F.center_crop(image, 16)
    yield "T.CenterCrop({ 40, 11 })", F.center_crop(image, (40, 11))
    yield "T.Pad(3)", F.pad(image, 3)
    yield "T.Pad({ 1, 2, 3, 4 }, { fill = { 9, 80, 200 } })", F.pad(image, [1, 2, 3, 4], (9, 80, 200))
    for mode in ("edge", "reflect", "symmetric"):
        yield f'T.Pad({{ 5, 2 }}, {{ padding_mode = "{mode}" }})', F.pad(image, [5, 2], padding_mode=mode)
    yield "T.RandomHorizontalFlip(1)", F.hflip(image)
    yield "T.RandomVerticalFlip(1)", F.vflip(image)
    yield "T.RandomHorizontalFlip(0)", image
    for degrees in (17.5, -130, 90, 180, 0):
        yield f"T.RandomRotation({{ {degrees}, {degrees} }})", F.rotate(image, degrees)
    yield ('T.RandomRotation({ 33, 33 }, { interpolation = "bilinear", fill = 77 })',
           F.rotate(image, 33, MODE["bilinear"], fill=(77, 77, 77)))
    yield "T.ColorJitter{ brightness = { 1.4, 1.4 } }", F.adjust_brightness(image, 1.4)
    yield "T.ColorJitter{ brightness = { 0.6, 0.6 } }", F.adjust_brightness(image, 0.6)
    yield "T.ColorJitter{ contrast = { 1.7, 1.7 } }", F.adjust_contrast(image, 1.7)
    yield "T.ColorJitter{ saturation = { 0.3, 0.3 } }", F.adjust_saturation(image, 0.3)
    yield "T.ColorJitter{ hue = { -0.2, -0.2 } }", F.adjust_hue(image, -0.2)
    yield "T.Grayscale()", F.to_grayscale(image)
    yield "T.Grayscale(3)", F.to_grayscale(image, 3)
    # the whole picture, whatever the random place
    yield ("T.RandomResizedCrop(10, { scale = { 1, 1 }, ratio = { 34 / 21, 34 / 21 } })",
           F.resize(image, [10, 10]))
    yield "T.RandomCrop({ 21, 34 })", image


def main():
    os.makedirs(FOLDER, exist_ok=True)
    lines = ["-- Made by scripts/golden/images.py: {channels, height, width, MD5 of the pixels}.", "return {",
             "  files = {"]
    for name, data, seen in files():
        with open(os.path.join(FOLDER, name), "wb") as f:
            f.write(data)
        if name != "cmyk.jpg":
            lines.append(f'    ["{name}"] = {digest(seen)},')
    lines += ["  },", "  transforms = {"]
    for text, seen in transforms(picture(21, 34)):
        lines += [f"    {{ [[{text}]],", f"      {digest(seen)} }},"]
    lines += ["  },", "}", ""]
    with open(os.path.join(FOLDER, "cases.lua"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines))


if __name__ == "__main__":
    main()

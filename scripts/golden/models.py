#!/usr/bin/env python3
"""models.py [--files DIR [NAME...]]: cuts spec/golden/models.safetensors from torchvision, for
spec/models_spec.lua.

Needs a Python with torch and torchvision. Neither mascon nor its tests need this script. Each network
is filled by a rule that spec/support/filled.lua follows too, so that no weights need to be stored: the
file holds, for each network, a digest of its state dict's names and shapes, and for some of them the
scores (computed in float64) of a batch made by the same rule.

--files writes instead, for each network, seeded weights with moved statistics as DIR/NAME.pth
(torch.save), and pictures and scores as DIR/NAME.expected.pth.
"""

import argparse
import hashlib
import os
import sys

import numpy
import torch
import torchvision

sys.dont_write_bytecode = True  # leaves nothing beside these scripts
from store import Store, lua  # noqa: E402

NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
         "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2", "alexnet"]
SCORED = ["resnet18", "resnet50", "resnext50_32x4d", "alexnet"]


def numbers(count, place):
    """Numbers in [0, 1) of row-major positions in the tensor at this place."""
    x = (numpy.arange(count, dtype=numpy.uint64) * 50695211 + place * 40503) % 2**32
    x = ((x ^ (x >> numpy.uint64(15))) * 1664525) % 2**32
    return (x ^ (x >> numpy.uint64(13))).astype(numpy.float64) / 2**32


def filled(name, shape, place):
    u = torch.from_numpy(numbers(int(numpy.prod(shape)), place)).reshape(shape)
    if len(shape) > 1:
        fan_in = numpy.prod(shape[1:])
        return (u * 2 - 1) * ((6 if len(shape) == 4 else 3) / fan_in) ** 0.5
    if name.endswith("running_var") or name.endswith("weight"):
        return u + 0.5
    return (u - 0.5) * 0.4


def fill(model):
    place = 0
    state = model.state_dict()
    for name, t in state.items():
        place += 1
        if t.dtype == torch.int64:
            t.fill_(7)
        else:
            t.copy_(filled(name, tuple(t.shape), place))


def digest(model):
    text = "".join("%s {%s}\n" % (name, ", ".join(map(str, t.shape)))
                   for name, t in model.state_dict().items())
    return hashlib.sha256(text.encode()).hexdigest()


def cut():
    store, entries = Store(), {}
    for name in NAMES:
        model = torchvision.models.get_model(name)
        entries[name] = {"keys": digest(model)}
        if name in SCORED:
            fill(model)
            model.double().eval()
            fill(model)
            x = (torch.from_numpy(numbers(2 * 3 * 64 * 64, 1000)).reshape(2, 3, 64, 64) - 0.5) * 4
            with torch.no_grad():
                y = model(x.float().double()).float()
            entries[name]["scores"] = store.add(y)
            print(name, y.abs().max().item(), y.std().item())
    print(store.write("models", {"entries": lua(entries)}), "bytes")


def write_files(folder, names):
    for name in names or NAMES:
        torch.manual_seed(1)
        model = torchvision.models.get_model(name)
        for key, t in model.state_dict().items():
            if key.endswith("running_mean"):
                t.normal_(0, 0.1)
            elif key.endswith("running_var"):
                t.uniform_(0.5, 1.5)
            elif t.dtype == torch.int64:
                t.fill_(1000)
            elif t.dim() == 1:
                t.add_(torch.randn_like(t) * 0.1)
        torch.save(model.state_dict(), os.path.join(folder, name + ".pth"))
        x = torch.randn(2, 3, 224, 224)
        model.eval()
        with torch.no_grad():
            y = model(x)
        torch.save({"x": x, "y": y}, os.path.join(folder, name + ".expected.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--files")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    if given.files:
        write_files(given.files, given.names)
    else:
        cut()

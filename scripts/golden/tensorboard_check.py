#!/usr/bin/env python3
"""Reads event files that mascon.utils.SummaryWriter wrote with the real tensorboard package.

Usage: tensorboard_check.py [LUAJIT]       in the folder of the project, after scripts/build
Needs the packages tensorboard and pillow: python3 -m venv V && V/bin/pip install tensorboard pillow
Prints what was read and ends with status 1 where it is not what was written.
"""

import io
import os
import struct
import subprocess
import sys
import tempfile

from PIL import Image
from tensorboard.backend.event_processing import event_accumulator, event_file_loader

SCRIPT = """
local mascon = require "mascon"
local writer = mascon.utils.SummaryWriter(arg[1])
for step = 0, 20 do
  writer:add_scalar("loss/train", 1 / (step + 1), step)
  writer:add_scalar("accuracy", mascon.tensor(step / 20), step)
end
writer:add_scalar("far", -0.5, 2 ^ 40)
writer:add_scalar("before", 3, -7)
writer:add_scalar("tag with ü", 0 / 0, 1)
local x = mascon.arange(0, 3 * 4 * 5):view(3, 4, 5)
writer:add_image("bytes", x:to "uint8", 3)
writer:add_image("floats", x / 255, 4)
writer:add_image("grey", mascon.ones { 1, 2, 3 } * 2, 5)
writer:add_image("large", mascon.full({ 3, 300, 400 }, 7):to "uint8", 6)
writer:close()
"""


def check(what, condition):
    print(("ok      " if condition else "NOT OK  ") + what)
    return bool(condition)


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    env = dict(os.environ)
    env.setdefault("LUA_PATH", f"{root}/lua/?.lua;{root}/lua/?/init.lua;;")
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "write.lua")
        with open(script, "w", encoding="utf-8") as file:
            file.write(SCRIPT)
        log = os.path.join(folder, "runs", "first")
        subprocess.run([sys.argv[1] if len(sys.argv) > 1 else "luajit", script, log], check=True, env=env)
        return read(log)


def read(log):
    files = [os.path.join(log, name) for name in os.listdir(log)]
    good = check("one event file", len(files) == 1 and "tfevents" in files[0])
    # The loader ends early where a check sum is wrong or a record is cut off.
    events = list(event_file_loader.EventFileLoader(files[0]).Load())
    good &= check("all records", len(events) == 1 + 2 * 21 + 3 + 4)
    good &= check("version", events[0].file_version == "brain.Event:2")
    good &= check("times", all(b.wall_time >= a.wall_time > 1e9 for a, b in zip(events, events[1:])))

    accumulator = event_accumulator.EventAccumulator(log, size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    # Summaries of the present format are tensors for the accumulator.
    names = set(tags["scalars"]) | set(tags["tensors"]) | set(tags["images"])
    wanted = {"loss/train", "accuracy", "far", "before", "tag with ü", "bytes", "floats", "grey", "large"}
    good &= check("tags", names == wanted)

    def scalars(tag):
        if tag in tags["scalars"]:
            return [(e.step, e.value) for e in accumulator.Scalars(tag)]
        return [(e.step, e.tensor_proto.float_val[0]) for e in accumulator.Tensors(tag)]

    def single(v):
        return struct.unpack("f", struct.pack("f", v))[0]

    good &= check("scalars", scalars("loss/train") == [(i, single(1 / (i + 1))) for i in range(21)])
    good &= check("scalars from tensors", scalars("accuracy") == [(i, single(i / 20)) for i in range(21)])
    good &= check("large step", scalars("far") == [(2**40, -0.5)])
    good &= check("negative step", scalars("before") == [(-7, 3.0)])
    good &= check("not a number", scalars("tag with ü")[0][1] != scalars("tag with ü")[0][1])

    def picture(tag):
        if tag in tags["images"]:
            event = accumulator.Images(tag)[0]
            return event.step, (event.width, event.height), Image.open(io.BytesIO(event.encoded_image_string))
        event = accumulator.Tensors(tag)[0]
        width, height, data = event.tensor_proto.string_val
        return event.step, (int(width), int(height)), Image.open(io.BytesIO(data))

    expected = bytes(c * 20 + p for p in range(20) for c in range(3))
    for tag, at in (("bytes", 3), ("floats", 4)):
        step, size, image = picture(tag)
        good &= check(tag, step == at and size == (5, 4) and image.mode == "RGB" and image.tobytes() == expected)
    step, size, image = picture("grey")
    good &= check("grey", step == 5 and size == (3, 2) and image.mode == "L" and image.tobytes() == b"\xff" * 6)
    step, size, image = picture("large")
    good &= check("large", size == (400, 300) and image.tobytes() == b"\x07" * (400 * 300 * 3))
    return 0 if good else 1


sys.exit(main())

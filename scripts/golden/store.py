"""store.py: how golden files are written: safetensors files of flat names whose metadata holds Lua
tables that describe them."""

import json
import math
import os
import struct

import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "spec", "golden")


class Lua(str):
    """A piece of Lua text that stands for itself."""


def lua(value):
    """The Lua literal of a value."""
    if isinstance(value, Lua):
        return str(value)
    if value is None:
        return "nil"
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        if value != value:
            return "0/0"
        if math.isinf(value):
            return "1/0" if value > 0 else "-1/0"
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(lua(v) for v in value) + "}"
    return "{" + ",".join(f'["{k}"]={lua(v)}' if k == "end" else f"{k}={lua(v)}"
                          for k, v in value.items()) + "}"


DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.int64: "I64", torch.int32: "I32",
          torch.uint8: "U8", torch.bool: "BOOL"}


class Store:
    """The tensors of one file; equal ones are stored once."""

    def __init__(self):
        self.names, self.tensors = {}, []

    def add(self, tensor):
        tensor = tensor.detach().contiguous()
        data = tensor.reshape(-1).numpy().tobytes()
        key = (tensor.dtype, tuple(tensor.shape), data)
        if key not in self.names:
            self.names[key] = f"t{len(self.tensors) + 1}"
            self.tensors.append((self.names[key], tensor, data))
        return self.names[key]

    def write(self, family, metadata):
        header, at = {"__metadata__": dict(metadata, torch=torch.__version__.split("+")[0])}, 0
        ordered = sorted(self.tensors, key=lambda t: -t[1].element_size())  # keeps data aligned
        for name, tensor, data in ordered:
            header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape),
                            "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = os.path.join(FOLDER, family + ".safetensors")
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            for _, _, data in ordered:
                f.write(data)
        return os.path.getsize(path)

#!/usr/bin/env python3
"""torch_files.py: makes the files of spec/golden/torch with PyTorch, for spec/torch_spec.lua.

Needs a Python with torch and numpy. Neither mascon nor its tests need this script. The tar files are
put together here, since no PyTorch of today writes them; the script reads them back with torch.load.
expected.safetensors holds what every tensor must be, contiguous, as "file/dotted.name".
"""

import argparse
import collections
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import types as types_module
import warnings

import numpy
import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "spec", "golden", "torch")
NAMES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
expected = {}


def walk(name, value):
    if isinstance(value, torch.Tensor):
        if value.dtype in NAMES:
            expected[name] = value.detach().clone(memory_format=torch.contiguous_format)
    elif isinstance(value, dict):
        for key, item in value.items():
            walk("%s.%s" % (name, key), item)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            walk("%s.%d" % (name, i + 1), item)


def save(name, value, both=True):
    if not isinstance(value, torch.nn.Module):
        walk(name, value)
    torch.save(value, os.path.join(FOLDER, name + ".zip.pth"))
    if both:
        path = os.path.join(FOLDER, name + ".stream.pth")
        torch.save(value, path, _use_new_zipfile_serialization=False)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.bn = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


def whole_model():
    """A module of the class resnet.ResNet, which has no source text that could go into the file."""
    module = types_module.ModuleType("resnet")
    sys.modules["resnet"] = module
    exec("class ResNet(base):\n    pass", {"base": torch.nn.Module, "__name__": "resnet"}, vars(module))
    model = module.ResNet()
    model.w = torch.nn.Parameter(torch.zeros(1))
    return model


def trained():
    torch.manual_seed(1)
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(2, 3, 5, 5)).square().sum().backward()
        optimizer.step()
    return net, optimizer


def types():
    torch.manual_seed(2)
    x = torch.randn(3, 4)
    value = {}
    for dtype, name in NAMES.items():
        value[name] = x > 0 if dtype == torch.bool else (x * 40).to(dtype)
    value["U8"] = (x * 40).to(torch.int32).to(torch.uint8)
    value["scalar"] = torch.tensor(2.5)
    value["number"] = torch.tensor(-7)
    value["one"] = torch.full((1, 1, 1), 3.0)
    value["empty"] = torch.empty(0)
    value["empty2"] = torch.empty(3, 0, 2, dtype=torch.int64)
    value["special"] = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])
    return value


def views():
    base = torch.arange(120, dtype=torch.float32)
    grid = base.view(10, 12)
    tied = torch.arange(6, dtype=torch.float32).view(2, 3)
    return {
        "transposed": grid.t(),
        "narrow": grid[3:5],
        "column": grid[:, 4],
        "step": base[7::5],
        "block": grid[2:8:2, 1:9:3],
        "permuted": base.view(2, 3, 4, 5).permute(3, 0, 2, 1),
        "channels_last": torch.arange(48, dtype=torch.bfloat16)
        .view(2, 2, 3, 4)
        .to(memory_format=torch.channels_last),
        "tied": tied,
        "tied_too": tied,
        "same_view": tied.view(2, 3),
        "reshaped": tied.view(3, 2),
        "half": torch.arange(20, dtype=torch.float16).view(4, 5)[:, 1:3],
        "empty": grid[10:],
        "last": grid[9, 11],
    }


def checkpoint():
    net, optimizer = trained()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    return {
        "epoch": 7,
        "state_dict": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": {k: v for k, v in scheduler.state_dict().items() if not k.startswith("_")},
        "best": 0.1 + 0.2,
        "none": None,
        "yes": True,
        "no": False,
        "text": "a \u00e9 \U0001f600",
        "long text": "x" * 100,
        "long text again": "x" * 100,
        "bytes": b"\x00\xff\x80ab",
        "tuple": (1, (2, 3), [4, None, "five"]),
        "size": torch.Size([2, 3]),
        "device": torch.device("cuda:1"),
        "cpu": torch.device("cpu"),
        "dtype": torch.bfloat16,
        "f8": numpy.float64(1.5),
        "f4": numpy.float32(-0.25),
        "i4": numpy.int32(-3),
        "u1": numpy.uint8(200),
        "b1": numpy.bool_(True),
        "defaultdict": collections.defaultdict(list, {"x": [1, 2]}),
        "counter": collections.Counter("aab"),
        "big": 2**53,
        "negative": -(2**40),
        "small": -5,
        "middle": 300,
        "nan": float("nan"),
        "inf": float("inf"),
        "empty": {},
        "nothing": [],
        3: "an integer key",
        "parameter": net.fc.weight,
        "history": [{"loss": 1.5, "step": i} for i in range(3)],
    }


# ---- tar files, as PyTorch 0.1 wrote them ----


def tar_file(name, state, parameters, names):
    """state: name -> tensor. names: which storages are views of the storage of another tensor."""
    storages, tensors = io.BytesIO(), io.BytesIO()
    dump = lambda v, f: pickle.dump(v, f, protocol=2)
    kinds = {torch.float32: "Float", torch.int64: "Long", torch.float16: "Half", torch.uint8: "Byte"}

    def dump_described(key, second, kind, f):
        first = pickle.dumps((key, second), protocol=2)
        # the two items, then the class by name, TUPLE3, STOP instead of TUPLE2
        body = first[: first.rindex(b"\x86")]
        f.write(body + b"ctorch\n" + kind.encode() + b"\n\x87.")

    roots = [n for n in state if n not in names]
    dump(len(roots), storages)
    keys = {}
    for i, n in enumerate(roots):
        t = state[n]
        keys[n] = 94000000000000 + 64 * i
        flat = torch.tensor([], dtype=t.dtype).set_(t.untyped_storage(), 0, (t.untyped_storage().nbytes() // t.element_size(),))
        dump_described(keys[n], "cpu" if i else "cuda:0", kinds[t.dtype] + "Storage", storages)
        storages.write(struct.pack("<q", flat.numel()) + flat.numpy().tobytes())
    list_of_views = []
    for i, (n, root) in enumerate(names.items()):
        keys[n] = 95000000000000 + 64 * i
        list_of_views.append((keys[n], keys[root], state[n].storage_offset(), state[n].numel()))
    dump(list_of_views, storages)

    dump(len(state), tensors)
    ids = {}
    for i, (n, t) in enumerate(state.items()):
        ids[n] = 93000000000000 + 16 * i
        dump_described(ids[n], keys[n], kinds[t.dtype] + "Tensor", tensors)
        tensors.write(struct.pack("<ii", t.dim(), 0))
        tensors.write(struct.pack("<%dq" % t.dim(), *t.shape))
        tensors.write(struct.pack("<%dq" % t.dim(), *t.stride()))
        tensors.write(struct.pack("<q", 0 if n in names else t.storage_offset()))

    text = lambda s: b"X" + struct.pack("<I", len(s)) + s.encode()
    # an OrderedDict of Python 3; the memo is not needed but for the empty dict
    body = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("
    for n in state:
        reference = text(str(ids[n])) + b"Q"
        if n in parameters:
            # Parameter by NEWOBJ and BUILD of (data, grad, hooks, requires_grad, volatile)
            reference = b"ctorch.nn.parameter\nParameter\n)\x81(" + reference + b"NN\x88\x89tb"
        body += text(n) + reference
    body += b"u."

    out = io.BytesIO()
    for member, data in [
        ("sys_info", pickle.dumps(dict(protocol_version=1000, little_endian=True, type_sizes=dict(short=2, int=4, long=4)), protocol=2)),
        ("pickle", body),
        ("tensors", tensors.getvalue()),
        ("storages", storages.getvalue()),
    ]:
        info = tarfile.TarInfo(member)
        info.size = len(data)
        info.mtime = 1483228800.5  # a fraction asks for an extended header
        out.write(info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512))
    out.write(bytes(1024))
    path = os.path.join(FOLDER, name + ".tar.pth")
    with open(path, "wb") as f:
        f.write(out.getvalue())
    walk("tar_" + name, state)
    back = torch.load(path, map_location="cpu", weights_only=False)
    for n, t in state.items():
        assert torch.equal(back[n].data if hasattr(back[n], "data") else back[n], t), n


def tar_files():
    torch.manual_seed(3)
    weight = torch.randn(3, 4)
    state = collections.OrderedDict(
        [
            ("fc.weight", weight),
            ("fc.bias", torch.randn(3)),
            ("turned", torch.arange(6, dtype=torch.float32).view(2, 3).t()),
            ("part", weight.view(-1)[4:8]),
            ("count", torch.tensor([41], dtype=torch.int64)),
            ("half", torch.arange(4, dtype=torch.float16)),
        ]
    )
    tar_file("state", state, {"fc.weight", "fc.bias"}, {"part": "fc.weight"})
    tar_file("small", collections.OrderedDict(a=torch.ones(2)), set(), {})


# ---- all ----


def write_expected():
    header, data = {}, b""
    for name, t in expected.items():
        raw = t.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(FOLDER, "expected.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main():
    warnings.simplefilter("ignore")
    os.makedirs(FOLDER, exist_ok=True)
    for old in os.listdir(FOLDER):
        os.remove(os.path.join(FOLDER, old))
    save("state", trained()[0].state_dict())
    save("types", types())
    save("views", views())
    save("checkpoint", checkpoint())
    save("tensor", torch.arange(6, dtype=torch.float32).view(2, 3))
    save("small", {"a": torch.ones(2)})
    save("parallel", collections.OrderedDict(("module." + k, v) for k, v in trained()[0].state_dict().items()), False)
    save("int8", {"a": torch.ones(2), "q": torch.ones(3, dtype=torch.int8), "u": torch.ones(1, dtype=torch.uint16)}, False)
    quantized = torch.quantize_per_tensor(torch.ones(2), 0.5, 0, torch.quint8)
    save("complex", {"a": torch.ones(2), "c": torch.ones(2, dtype=torch.complex64), "q": quantized})
    save("expanded", {"a": torch.ones(1).expand(3)}, True)
    save("namespace", {"state_dict": {"a": torch.ones(2)}, "args": argparse.Namespace(lr=0.1, t=torch.ones(2))})
    save("model", whole_model())
    torch.jit.trace(torch.relu, torch.ones(1)).save(os.path.join(FOLDER, "script.zip.pth"))
    tar_files()
    write_expected()
    total = sum(os.path.getsize(os.path.join(FOLDER, n)) for n in os.listdir(FOLDER))
    print("%d files, %d bytes" % (len(os.listdir(FOLDER)), total))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""cut.py [OP...]: cuts golden files for spec/golden_spec.lua from PyTorch.

Needs a Python with torch, and the packages expecttest and hypothesis that torch.testing imports.
Neither mascon nor its tests need this script: the files lie in spec/golden. With names of OpInfo's
ops it prints their cases and writes nothing.

For each op of the table in ops.py it takes the samples that PyTorch tests itself with (OpInfo) and
a few of its own, keeps those that mascon's interface can express, and stores inputs, outputs and
gradients of sum(out * w), where w[i] = (7 * i mod 13 - 6) / 4 + 1 / 8 of the row-major position i.
Inputs are rounded to float32, so that the same file serves float32 and float64. Numbers, dims,
positions and class labels are stored as mascon counts them, from 1. What was left out is listed
with its reason in the file's metadata "skipped": "decided" by mascon's interface, "refused" by an
error of mascon's, no such option, too large, or enough samples of that kind.

A file is a safetensors file of flat names; its metadata "cases" is a Lua table.
"""

import os
import random
import sys
import zlib

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import SampleInput

sys.dont_write_bytecode = True  # leaves nothing beside these scripts
from ops import FAMILIES  # noqa: E402
from store import FOLDER, Lua, Store, lua  # noqa: E402

MAX_ELEMENTS = 400  # of each tensor
MAX_BYTES = 24000  # of one sample; of equally good samples the smaller ones are kept

# ---- Samples ----


class Skip(Exception):
    pass


NUMBERS = ("end", "step", "steps", "m")  # of the ops that make tensors


def from_one(value, what="a dimension"):
    if isinstance(value, bool) or not isinstance(value, int):
        raise Skip(f"{what} is not a number")
    return value + 1 if value >= 0 else value


def number(name, value):
    if isinstance(value, torch.Tensor):
        raise Skip(f"{name} is a tensor")
    if isinstance(value, complex):
        raise Skip("complex numbers")
    if isinstance(value, bool) and name in NUMBERS:
        raise Skip(f"{name} is a bool")
    return value


def whole_list(name, value):
    if isinstance(value, torch.Tensor):
        raise Skip(f"{name} is a tensor")
    values = [value] if isinstance(value, int) else list(value)
    if any(not isinstance(v, int) for v in values):
        raise Skip(f"{name} has entries that are not numbers")
    return values


def option(name, kind, value):
    """(option's name, value in mascon's terms) or None where it need not be given."""
    if kind == "drop" or value is None:
        return None
    if kind == "never":
        if value in (False, ""):
            return None
        raise Skip(f"no option {name}")
    if kind.startswith("="):
        if value == int(kind[1:]):
            return None
        raise Skip(f"no option {name}")
    if kind == "dim":
        return name, from_one(value)
    if kind == "position":
        return name, from_one(number(name, value), name)
    if kind == "dims":
        return name, [from_one(v) for v in whole_list(name, value)]
    if kind == "sizes":
        return name, whole_list(name, value)
    if kind == "pair":
        if isinstance(value, (list, tuple)) and len(value) == 0:
            return None  # PyTorch's way to leave a stride out
        return name, value if isinstance(value, (int, str)) else whole_list(name, value)
    if kind == "unbiased":
        return "correction", 1 if value else 0
    if kind.startswith("as="):
        return kind[3:], list(value) if isinstance(value, (list, tuple)) else value
    if kind == "label":
        return name, value + 1 if value >= 0 else value
    if kind == "positive":
        if value < 1:
            raise Skip(f"refused: {name} below 1")
        return name, value
    if kind == "classes":
        return (name, value) if value >= 0 else None
    if kind == "power":
        if value == "fro":
            return name, 2
        if isinstance(value, str):
            raise Skip(f'norm p = "{value}"')
        return name, value
    return name, number(name, value)


def bind(op, sample):
    """PyTorch's arguments by name."""
    given, args = {}, list(sample.args)
    for i, (name, _) in enumerate(op.params):
        if i < len(args):
            if op.rest == name and isinstance(args[i], int):
                given[name] = args[i:]
                args = args[:i + 1]
            else:
                given[name] = args[i]
    if len(args) > len(op.params):
        raise Skip("more arguments than mascon's op has")
    alias = {"ord": "p", "axis": "dim"}
    for name, value in sample.kwargs.items():
        name = alias.get(name, name)
        if name not in dict(op.params):
            raise Skip(f"no option {name}")
        given[name] = value
    return given


def express(op, sample):
    """What mascon is called with: tensors by name in order, options, creation numbers."""
    reason = op.check and op.check(sample)
    if reason:
        raise Skip(reason)
    given = bind(op, sample)
    tensors, options = {"input": sample.input}, {}
    for name, kind in op.params:
        if name not in given:
            continue
        value = given[name]
        if kind in ("tensor", "index"):
            if isinstance(value, complex):
                raise Skip("complex numbers")
            tensors[name] = value
        else:
            found = option(name, kind, value)
            if found:
                options[found[0]] = found[1]
    if op.creates:
        return [(name, value) for name, value in tensors.items()] + list(options.items()), {}
    names = op.order.split() if op.order else list(tensors)
    args = [(name, tensors.get(name)) for name in names]
    while args and args[-1][1] is None:
        args.pop()
    if op.swap:
        args.reverse()
        if isinstance(args[0][1], torch.Tensor):
            raise Skip("the reversed form with two tensors is the plain one")
    return args, options


def is_position(op, name):
    return dict(op.params).get(name) == "index" or (op.base and name == "input")


def plain(op, name, value):
    """A tensor as it is given to mascon."""
    if isinstance(value, torch.Tensor) and is_position(op, name) and not value.is_floating_point():
        return torch.where(value >= 0, value + 1, value)
    return value


def rounded(value, keep):
    """The sample's tensors as fresh leaves with values of float32."""
    if isinstance(value, torch.Tensor):
        if value.dtype in (torch.float64, torch.float32):
            fresh = value.detach().float().to(value.dtype).clone()
            return fresh.requires_grad_(value.requires_grad and keep)
        return value.detach().clone()
    if isinstance(value, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in value):
        return type(value)(rounded(v, keep) for v in value)
    return value


def weights(like):
    i = torch.arange(like.numel(), dtype=torch.int64)
    return ((7 * i % 13 - 6).double() / 4 + 0.125).reshape(like.shape).to(like.dtype)


def flat_tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in flat_tensors(v)]
    return []


def compact(t):
    """Inputs need no more than float32."""
    return t.detach().float() if t.dtype == torch.float64 else t.detach()


def cut(op, info, sample):
    """Runs PyTorch on a sample; the case as a dictionary that still holds tensors."""
    keep = not op.creates
    sample = SampleInput(
        rounded(sample.input, keep), args=tuple(rounded(a, keep) for a in sample.args),
        kwargs={k: rounded(v, keep) for k, v in sample.kwargs.items()},
        output_process_fn_grad=sample.output_process_fn_grad,
        broadcasts_input=sample.broadcasts_input, name=sample.name)
    args, options = express(op, sample)
    everything = flat_tensors([value for _, value in args])
    if any(t.numel() > MAX_ELEMENTS for t in everything):
        raise Skip(f"more than {MAX_ELEMENTS} elements")
    if any(t.is_complex() for t in everything):
        raise Skip("complex numbers")
    if any(t.dtype == torch.int64 and t.numel() and t.abs().max() > 2**53 for t in everything):
        raise Skip("whole numbers beyond 2^53, which Lua cannot tell apart")
    out = (op.instead or info)(sample.input, *sample.args, **sample.kwargs)
    outs = [out] if isinstance(out, torch.Tensor) else list(out)
    if any(t.numel() > 2 * MAX_ELEMENTS for t in outs):
        raise Skip(f"more than {2 * MAX_ELEMENTS} elements")
    loss = sum((o * weights(o)).sum() for o in outs if o.is_floating_point() and o.requires_grad)
    if isinstance(loss, torch.Tensor):
        loss.backward()

    def argument(name, value):
        if isinstance(value, torch.Tensor):
            return {"t": compact(plain(op, name, value)),
                    "g": value.grad if value.requires_grad and name not in op.no_grad else None,
                    "d": str(value.dtype).split(".")[1]}
        if isinstance(value, (list, tuple)):
            return {"list": [argument(name, v) for v in value]}
        return {"none": True} if value is None else value

    wanted = [{"t": o.detach() + 1 if i in op.positions else o.detach(),
               "d": str(o.dtype).split(".")[1]} for i, o in enumerate(outs)]
    return {"op": op.name, "creates": True if op.creates else None, "options": options,
            "args": [argument(n, v) for n, v in args], "outs": wanted}


def size_of(value):
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size() + 60
    if isinstance(value, dict):
        return sum(size_of(v) for v in value.values())
    if isinstance(value, list):
        return sum(size_of(v) for v in value)
    return 0


def shape_key(value):
    """What makes two samples the same test with other values."""
    if isinstance(value, torch.Tensor):
        return str((tuple(value.shape), value.dtype))
    if isinstance(value, dict):
        return str({k: shape_key(v) for k, v in value.items()})
    if isinstance(value, list):
        return str([shape_key(v) for v in value])
    return str(value)


def named(value, store):
    if isinstance(value, torch.Tensor):
        return store.add(value)
    if isinstance(value, dict):
        return {k: named(v, store) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [named(v, store) for v in value]
    return value


def samples_of(op, info, dtype):
    """Extra samples, then OpInfo's, and the number of the extra ones. The seed is fixed per op, so
    that one op can be cut alone."""
    torch.manual_seed(zlib.crc32((info.name + info.variant_test_name).encode()))
    grad = info.supports_autograd and dtype == torch.float64
    own = list(op.extra()) if op.extra and dtype == torch.float64 else []
    return own + list(info.sample_inputs("cpu", dtype, requires_grad=grad)), len(own)


def features(case):
    """What a sample shows: its options and the shape of each argument."""
    shown = {(k, str(v)) for k, v in case["options"].items()}
    return shown | {(i, shape_key(a)) for i, a in enumerate(case["args"])}


def different(found, own, most):
    """The first `own` samples and others, each of which shows as much as possible that is new."""
    chosen, rest = found[:own], found[own:]
    random.Random(len(rest)).shuffle(rest)
    seen = set().union(*(features(c) for c in chosen)) if chosen else set()
    while len(chosen) < most:
        best = rest.pop(max(range(len(rest)), key=lambda i: len(features(rest[i]) - seen)))
        chosen.append(best)
        if not features(best) - seen:
            seen = set()
        seen |= features(best)
    return chosen


def cut_op(torch_name, op, info):
    cases, skipped, seen = [], {}, set()
    floats = torch.float64 in info.supported_dtypes("cpu")
    dtypes = [torch.float64] if floats else []
    dtypes += [torch.int64] if op.ints or not floats else []
    for dtype in dtypes:
        found = []
        samples, extras = samples_of(op, info, dtype)
        own = 0  # extra samples among the found ones
        for index, sample in enumerate(samples):
            try:
                case = cut(op, info, sample)
            except Skip as reason:
                skipped[str(reason)] = skipped.get(str(reason), 0) + 1
                continue
            key = shape_key(case)
            if key in seen:
                skipped["like another sample"] = skipped.get("like another sample", 0) + 1
                continue
            seen.add(key)
            if size_of(case) > MAX_BYTES:
                skipped["large"] = skipped.get("large", 0) + 1
                continue
            own += index < extras
            case["from"] = f"{torch_name} {index + 1 - extras}" if index >= extras else \
                f"{torch_name} extra {index + 1}"
            found.append(case)
        most = op.most if dtype == torch.float64 or not floats else 3
        if len(found) > most:
            skipped["enough samples"] = skipped.get("enough samples", 0) + len(found) - most
            found = different(found, own, most)
        cases += found
    return cases, [{"op": torch_name, "reason": r, "count": n} for r, n in skipped.items()]


def cut_family(family, ops, infos):
    store, cases, skipped = Store(), [], []
    for torch_name, op in ops.items():
        info = infos.get(torch_name)
        if not info:
            print(f"{torch_name}: not in OpInfo")
            skipped.append({"op": torch_name, "reason": "not in OpInfo", "count": 0})
            continue
        mine, left_out = cut_op(torch_name, op, info)
        skipped += left_out
        cases += [named(case, store) for case in mine]
        reasons = "; ".join(f"{s['count']} {s['reason']}" for s in left_out)
        print(f"{torch_name}: {len(mine)} samples" + (f" (left out: {reasons})" if reasons else ""))
    lines = ",\n".join(lua(case) for case in cases)
    left = ",\n".join(lua(s) for s in skipped)
    size = store.write(family, {"cases": f"return {{\n{lines}\n}}",
                                "skipped": f"return {{\n{left}\n}}"})
    print(f"== {family}: {len(cases)} cases, {size} bytes")
    return size


# ---- Optimizers and training ----


def vector(seed, *shape):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64).float().double()


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "maximize": True, "weight_decay": 0.2}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.1, "betas": [0.5, 0.9], "eps": 1e-3}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "maximize": True, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True, "betas": [0.8, 0.95]}),
]


def make_optimizer(name, params, options):
    return getattr(torch.optim, name)(params, foreach=False, **options)


def optimizer_traces(store):
    cases = []
    start, grads = vector(1, 5), vector(2, 20, 5)
    grads[7:] *= 0.1  # past its largest squares amsgrad differs
    grads = grads.float().double()
    for name, options in OPTIMIZERS:
        p = start.clone().requires_grad_()
        optimizer, path = make_optimizer(name, [p], options), []
        for g in grads:
            p.grad = g.clone()
            optimizer.step()
            path.append(p.detach().clone())
        cases.append({"name": name, "options": options, "start": store.add(compact(start)),
                      "grads": store.add(compact(grads)), "path": store.add(torch.stack(path))})
    return cases


def simple_cnn(hidden, side, classes):
    nn = torch.nn
    return nn.ModuleDict({
        "conv_block_1": nn.Sequential(
            nn.Conv2d(3, hidden, 3, padding=1), nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        "classifier": nn.Sequential(nn.Flatten(), nn.Linear(hidden * (side // 2) ** 2, classes)),
    }).double()


def training_runs(store):
    hidden, side, classes, steps = 3, 8, 10, 10
    torch.manual_seed(3)
    model = simple_cnn(hidden, side, classes)
    initial = {k: v.detach().float().double() for k, v in model.state_dict().items()}
    g = torch.Generator().manual_seed(4)
    pictures = torch.rand(2, 4, 3, side, side, generator=g).float().double()
    labels = torch.randint(0, classes, (2, 4), generator=g)
    runs = []
    for name, options in [
            ("Adam", {"lr": 0.01}),
            ("Adam", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
            ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
            ("SGD", {"lr": 0.1})]:
        model.load_state_dict(initial)
        optimizer, losses = make_optimizer(name, model.parameters(), options), []
        for step in range(steps):
            scores = model["classifier"](model["conv_block_1"](pictures[step % 2]))
            loss = torch.nn.functional.cross_entropy(scores, labels[step % 2])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        final = {k: store.add(v.detach().clone()) for k, v in model.state_dict().items()}
        runs.append({"name": name, "options": options, "losses": store.add(torch.stack(losses)),
                     "final": {Lua(f'["{k}"]'): v for k, v in final.items()}})
    return {"hidden": hidden, "side": side, "classes": classes, "runs": runs,
            "pictures": store.add(compact(pictures)), "labels": store.add(labels + 1),
            "initial": {Lua(f'["{k}"]'): store.add(compact(v)) for k, v in initial.items()}}


def main(only):
    torch.set_num_threads(1)
    os.makedirs(FOLDER, exist_ok=True)
    infos = {}
    for info in op_db:
        name = info.name + ("." + info.variant_test_name if info.variant_test_name else "")
        infos[name] = info
    total = 0
    for family, ops in FAMILIES.items():
        chosen = {n: o for n, o in ops.items() if not only or n in only}
        if only and chosen:
            for name, op in chosen.items():
                for case in cut_op(name, op, infos[name])[0]:
                    print(lua(named(case, Store())))
        elif not only:
            total += cut_family(family, ops, infos)
    if not only:
        store = Store()
        optimizers, training = optimizer_traces(store), training_runs(store)
        size = store.write("training", {"optimizers": "return " + lua(optimizers),
                                        "training": "return " + lua(training)})
        print(f"== training: {size} bytes")
        print(f"== all files: {total + size} bytes")


main(sys.argv[1:])

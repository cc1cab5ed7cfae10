#!/usr/bin/env python3
"""cut.py [OP...]: cuts golden files for spec/golden_spec.lua from PyTorch.

Needs a Python with torch, and the packages expecttest and hypothesis that torch.testing imports. Neither
mascon nor its tests need this script: the files lie in spec/golden.

For each op of the table below it takes the samples that PyTorch tests itself with (OpInfo), keeps those
that mascon's interface can express, and stores inputs, outputs and gradients of sum(out * w), where w[i]
= (7 * i mod 13 - 6) / 4 + 1 / 8 of the row-major position i. Inputs are rounded to float32, so that the
same file serves float32 and float64. Numbers, dims, positions and class labels are stored as mascon
counts them, from 1. What was left out is listed with its reason in the file's metadata.

A file is a safetensors file of flat names; its metadata "cases" is a Lua table.
"""

import json
import math
import os
import random
import struct
import sys
import zlib

import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import SampleInput

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "spec", "golden")
MAX_SAMPLES = 12  # of each op
MAX_ELEMENTS = 400  # of each tensor
MAX_BYTES = 24000  # of one sample; of equally good samples the smaller ones are kept

# ---- Files ----


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


# ---- The table ----
#
# A line: op of OpInfo[.variant] -> mascon's op, then PyTorch's parameters after the input, as name:kind.
# Kinds:
#   tensor    a tensor or number that becomes an argument (in the order of `order`)
#   index     a tensor of positions or labels; an argument, counted from 1
#   dim dims  a dimension, several; counted from 1        position    an index number, counted from 1
#   value     the option has PyTorch's value              sizes       a list of whole numbers
#   drop      has no influence on the values              never       only None, False and "" are expressible
#   =X        only the value X is expressible

REDUCE = "dim:dims keepdim:value dtype:never"


class Op:
    def __init__(self, name, params="", outputs="", order=None, no_grad="", swap=False, ints=False,
                 check=None, rest=None, creates=False, extra=None, most=MAX_SAMPLES,
                 base=False, instead=None):
        self.name, self.order, self.swap, self.ints = name, order, swap, ints
        self.params = [p.split(":") for p in params.split()]
        self.positions = [int(i) for i in outputs.split()]  # which outputs are positions
        self.no_grad = no_grad.split()  # inputs whose gradient mascon refuses
        self.check = check  # sample -> reason to leave it out, or None
        self.rest = rest  # parameter that takes all remaining positional numbers
        self.creates = creates  # the input and all parameters are numbers, given by position
        self.extra = extra  # samples of our own beside OpInfo's, where those say too little
        self.most = most  # samples
        self.base = base  # the input holds class numbers
        self.instead = instead  # what is run in PyTorch in the place of the op


def batch_only(sample):
    if sample.input.dim() != 4:
        return "decided: images come in batches, {N, C, H, W} (API.md)"


def scores_in_batches(sample):
    if sample.input.dim() < 2:
        return "decided: scores come in batches, {N, classes} (API.md)"
    target = sample.args[0]
    if target.is_floating_point() and sample.kwargs.get("ignore_index", -100) != -100:
        return "decided: ignore_index needs class numbers as targets"
    if sample.input.numel() == 0 and sample.kwargs.get("reduction", "mean") == "mean":
        return "decided: the mean over 0 targets is refused"


def weight_matrix(sample):
    if sample.args[0].dim() != 2:
        return "refused: a weight of one dimension"


def no_negative(sample):
    if any(v < 0 for v in sample.args[0]):
        return "refused: negative padding (x:narrow takes elements away)"


def has_dims(sample):
    if sample.input.dim() == 0:
        return "refused: a 0-dimensional tensor has no positions"


def int64_positions(sample):
    if sample.args[1].dtype != torch.int64:
        return "refused: positions are int64"
    return has_dims(sample)


def mask_fits(sample):
    if torch.broadcast_shapes(sample.input.shape, sample.args[0].shape) != sample.input.shape:
        return "refused: a mask larger than the tensor"


def exact_hardsigmoid(x, inplace=False):
    """PyTorch's own kernel takes 1 / 6 in float32 for the gradient even of float64; this does not."""
    y = torch.nn.functional.hardsigmoid(x.detach())
    return torch.where((x > -3) & (x < 3), x / 6 + 0.5, y)


def one_rank(sample):
    if len({t.dim() for t in sample.input}) != 1:
        return "refused: tensors of different numbers of dimensions"


def some(shape):
    """Random numbers of an extra sample."""
    return torch.randn(shape, dtype=torch.float64).requires_grad_()


def extra(*samples):
    """A function that makes samples: each is (shape or tensors, args, keyword arguments)."""
    def make():
        for shape, args, kwargs in samples:
            tensors = [some(a[1]) if isinstance(a, tuple) and a[:1] == ("x",) else a for a in args]
            yield SampleInput(some(shape), args=tuple(tensors), kwargs=kwargs)
    return make


def numbers(*values):
    """Extra samples of a two-input op with a number in the place of a tensor."""
    return extra(*(((3, 4), (v,), {}) for v in values))


NAN, INF = float("nan"), float("inf")
EDGES = [-INF, -30, -6, -3, -2.5, -1, -0.5, -0.0, 0.0, 0.5, 1, 1.5, 2.5, 3, 6, 30, INF]


def values(*rows):
    return torch.tensor(rows, dtype=torch.float64).requires_grad_()


def edges():
    """Where functions of one number bend, jump or end."""
    yield SampleInput(values(*EDGES))


def edges_nan():
    """Also NaN. Not for relu6, elu and hardswish: there PyTorch's gradient of NaN is 0, NaN or dy,
    depending on the length of the tensor."""
    yield from edges()
    yield SampleInput(values(NAN))


def edge_pairs(*more):
    """Every pair of a few special numbers; then pairs with a number in the place of a tensor."""
    def make():
        few = [-INF, -2, -0.5, 0.0, 1, 3, INF, NAN]
        yield SampleInput(values(*[[v] for v in few]), args=(values(*few),))
        if more:
            yield from numbers(*more)()
    return make


def table(*args_kwargs, infinite=True):
    """Rows with ties, with zeros, with NaN, with infinities."""
    def make():
        rows = [[1, 3, 3, -2], [0, 0, 0, 0], [2, NAN, 5, NAN], [0, 2, 3, 4]]
        rows += [[-INF, 1, INF, 1]] if infinite else []
        whole = [[2, -1, 2], [-1, 2, 0]]
        for args, kwargs in args_kwargs:
            yield SampleInput(values(*rows), args=args, kwargs=kwargs)
            yield SampleInput(values(*whole), args=args, kwargs=kwargs)
    return make


def masked_scores():
    yield SampleInput(values([0, -INF, 2], [-INF, -INF, 1], [800, 0, -800]), args=(1,))


def cross_entropies():
    weight = torch.tensor([0.5, 2.0, 1.25], dtype=torch.float64)
    for i, reduction in enumerate(("mean", "sum", "none")):
        yield SampleInput(some((4, 3)), args=(torch.tensor([2, 0, 1, 0]),), kwargs={
            "weight": weight, "ignore_index": 1, "label_smoothing": 0.1 * i, "reduction": reduction})
        yield SampleInput(some((2, 3, 2)), args=(torch.tensor([[2, 0], [-100, 1]]),), kwargs={
            "weight": weight, "label_smoothing": 0.3, "reduction": reduction})
        yield SampleInput(some((4, 3)), args=(torch.softmax(some((4, 3)).detach(), 1),), kwargs={
            "weight": weight, "label_smoothing": 0.2, "reduction": reduction})


def pictures_with_ties():
    x = torch.tensor([[1, 1, 0, 2], [1, 1, 2, 2], [0, NAN, 0, 0], [-INF, 0, 0, 0]]).double()
    yield SampleInput(x.reshape(1, 1, 4, 4).requires_grad_(), args=(2,))
    yield SampleInput(x.reshape(1, 1, 4, 4).clone().requires_grad_(), args=(3,),
                      kwargs={"stride": 1, "padding": 1})


BINARY = "other:tensor alpha:=1 rounding_mode:never"
WINDOW = "kernel_size:pair stride:pair padding:pair "

BOTH = ((), {}), ((), {"dim": 1}), ((), {"dim": 0, "keepdim": True})
NO_OR_ONE = table(*BOTH)
FINITE = table(*BOTH, infinite=False)  # PyTorch has two ways to the gradient of prod, which differ
ONE = table(((1,), {}), ((0,), {"keepdim": True}))

FAMILIES = {
    "elementwise": {
        **{name: Op(name.split(".")[0], BINARY, ints=True, extra=edge_pairs(2.5, -1, 0))
           for name in "add sub mul div.no_rounding_mode".split()},
        "pow": Op("pow", "other:tensor", ints=True, extra=edge_pairs(2, 3, 1, 0, -1)),
        **{f"__r{name}__": Op(name, "other:tensor", swap=True, extra=numbers(2.5, 1, 0))
           for name in "add sub mul div pow".split()},
        "maximum": Op("maximum", "other:tensor", ints=True, most=8, extra=edge_pairs()),
        "minimum": Op("minimum", "other:tensor", ints=True, most=8, extra=edge_pairs()),
        **{name: Op(name, "other:tensor", ints=True, most=6, extra=edge_pairs(0))
           for name in "eq ne lt le gt ge".split()},
        **{name: Op(name, "other:tensor", ints=True, most=6, extra=edge_pairs())
           for name in "logical_and logical_or".split()},
        **{name: Op(name, ints=name in ("abs", "sign", "neg", "exp", "logical_not", "isnan", "sqrt"),
                   extra=edges_nan)
           for name in ("exp log log1p expm1 sqrt rsqrt abs sign neg reciprocal floor ceil round sin "
                        "cos erf isnan isfinite logical_not").split()},
        "clamp": Op("clamp", "min:value max:value", extra=extra(
            ((5, 7), (-0.5, 0.75), {}), ((5, 7), (), {"min": 0.25}), ((5, 7), (), {"max": -0.25}),
            ((5, 7), (0.5, -0.5), {}), ((), (-0.5, 0.5), {}), ((0, 3), (-0.5, 0.5), {}))),
        "where": Op("where", "condition:tensor other:tensor", order="condition input other"),
    },
    "activations": {
        "sigmoid": Op("sigmoid", extra=edges_nan), "tanh": Op("tanh", extra=edges_nan),
        "nn.functional.relu": Op("relu", "inplace:drop", extra=edges_nan),
        "nn.functional.relu6": Op("relu6", "inplace:drop", extra=edges),
        "nn.functional.leaky_relu": Op("leaky_relu", "negative_slope:value inplace:drop", extra=edges_nan),
        "nn.functional.elu": Op("elu", "alpha:value inplace:drop", extra=edges),
        "nn.functional.softplus": Op("softplus", "beta:value threshold:value", extra=edges_nan),
        "nn.functional.gelu": Op("gelu", "approximate:value", extra=edges_nan),
        "nn.functional.silu": Op("silu", "inplace:drop", extra=edges_nan),
        "nn.functional.hardswish": Op("hardswish", "inplace:drop", extra=edges),
        "nn.functional.hardsigmoid": Op("hardsigmoid", "inplace:drop", instead=exact_hardsigmoid,
                                        extra=edges_nan),
        "softmax": Op("softmax", "dim:dim dtype:never", extra=masked_scores),
        "log_softmax": Op("log_softmax", "dim:dim dtype:never", extra=masked_scores),
    },
    "reductions": {
        "sum": Op("sum", REDUCE, ints=True), "mean": Op("mean", REDUCE, extra=NO_OR_ONE),
        "var": Op("var", "dim:dims unbiased:unbiased correction:value keepdim:value"),
        "var.unbiased": Op("var", "unbiased:unbiased"),
        "std": Op("std", "dim:dims unbiased:unbiased correction:value keepdim:value"),
        "std.unbiased": Op("std", "unbiased:unbiased"),
        "prod": Op("prod", "dim:dim keepdim:value dtype:never", ints=True, extra=FINITE),
        "max.reduction_no_dim": Op("max", ints=True, extra=table(((), {}))), "min.reduction_no_dim": Op("min", ints=True, extra=table(((), {}))),
        "max.reduction_with_dim": Op("max", "dim:dim keepdim:value", outputs="1", extra=ONE),
        "min.reduction_with_dim": Op("min", "dim:dim keepdim:value", outputs="1", extra=ONE),
        "any": Op("any", "dim:dim keepdim:value", ints=True, extra=NO_OR_ONE),
        "all": Op("all", "dim:dim keepdim:value", ints=True, extra=NO_OR_ONE),
        "argmax": Op("argmax", "dim:dim keepdim:value", outputs="0", extra=NO_OR_ONE),
        "argmin": Op("argmin", "dim:dim keepdim:value", outputs="0", extra=NO_OR_ONE),
        "logsumexp": Op("logsumexp", "dim:dims keepdim:value", extra=ONE),
        "norm": Op("norm", "p:power dim:dims keepdim:value dtype:never", extra=NO_OR_ONE),
        "norm.fro": Op("norm", "p:power dim:dims keepdim:value dtype:never"),
        "norm.inf": Op("norm", "p:power dim:dims keepdim:value dtype:never"),
        "linalg.vector_norm": Op("norm", "p:power dim:dims keepdim:value dtype:never", extra=NO_OR_ONE),
        "cumsum": Op("cumsum", "dim:dim dtype:never", ints=True, extra=table(((1,), {}))),
        "sort": Op("sort", "dim:dim descending:value stable:drop", outputs="1"),
        "topk": Op("topk", "k:value dim:dim largest:value sorted:drop", outputs="1"),
    },
    "layers": {
        "matmul": Op("matmul", "other:tensor", ints=True), "mm": Op("matmul", "other:tensor"),
        "bmm": Op("bmm", "other:tensor", extra=extra(((3, 4, 5), (("x", (3, 5, 2)),), {}))), "mv": Op("matmul", "other:tensor"),
        "dot": Op("matmul", "other:tensor"), "outer": Op("outer", "other:tensor"),
        "nn.functional.linear": Op("linear", "weight:tensor bias:tensor", check=weight_matrix),
        "nn.functional.conv2d": Op(
            "conv2d", "weight:tensor bias:tensor stride:pair padding:pair dilation:pair groups:value",
            check=batch_only),
        "nn.functional.max_pool2d": Op(
            "max_pool2d", WINDOW + "dilation:pair ceil_mode:value return_indices:never",
            check=batch_only, extra=pictures_with_ties),
        "nn.functional.avg_pool2d": Op(
            "avg_pool2d", WINDOW + "ceil_mode:value count_include_pad:value divisor_override:positive",
            check=batch_only),
        "nn.functional.adaptive_avg_pool2d": Op(
            "adaptive_avg_pool2d", "output_size:pair", check=batch_only,
            extra=extra(((2, 3, 7, 5), ((3, 2),), {}), ((2, 3, 4, 6), (1,), {}),
                        ((1, 2, 5, 3), ((5, 3),), {}), ((1, 2, 3, 2), ((5, 3),), {}))),
        "nn.functional.cross_entropy": Op(
            "cross_entropy", "target:index weight:tensor size_average:never ignore_index:label "
            "reduce:never reduction:value label_smoothing:value", order="input target weight",
            no_grad="target weight", check=scores_in_batches, extra=cross_entropies),
    },
    "rearranging": {
        "cat": Op("cat", "dim:dim", check=one_rank), "stack": Op("stack", "dim:dim"),
        **{f"nn.functional.pad.{mode}": Op("pad", "pad:sizes mode:value value:value",
                                           check=no_negative)
           for mode in "constant reflect replicate circular".split()},
        "flip": Op("flip", "dims:dims"), "roll": Op("roll", "shifts:sizes dims:dims"),
        "tile": Op("tile", "dims:sizes"),
        "repeat_interleave": Op("repeat_interleave", "repeats:value dim:dim"),
        "tril": Op("tril", "diagonal:value"), "triu": Op("triu", "diagonal:value"),
        "index_select": Op("index_select", "dim:dim index:index", order="input index", check=has_dims,
                           extra=extra(((4, 3), (0, torch.tensor([3, 0, 0])), {}),
                                       ((2, 3, 4), (-1, torch.tensor([1, 1])), {}),
                                       ((4, 3), (1, torch.tensor([], dtype=torch.int64)), {}))),
        "gather": Op("gather", "dim:dim index:index sparse_grad:drop", order="input index",
                     check=int64_positions, extra=extra(
                         ((3, 4), (0, torch.tensor([[2, 0, 0, 1], [2, 2, 1, 1]])), {}),
                         ((3, 4), (1, torch.tensor([[3, 3, 0], [1, 2, 0]])), {}),
                         ((2, 3, 2), (-2, torch.tensor([[[2, 1]] * 4])), {}))),
        "nn.functional.one_hot": Op("one_hot", "num_classes:classes", base=True),
        "masked_fill": Op("masked_fill", "mask:tensor value:value", check=mask_fits),
        "masked_select": Op("masked_select", "mask:tensor"),
        "nonzero": Op("nonzero", "as_tuple:never", outputs="0", ints=True),
        "view": Op("view", "shape:sizes", rest="shape"),
        "reshape": Op("reshape", "shape:sizes", rest="shape"),
        "flatten": Op("flatten", "start_dim:dim end_dim:dim"),
        "permute": Op("permute", "dims:dims", rest="dims"),
        "transpose": Op("transpose", "dim0:dim dim1:dim"),
        "squeeze": Op("squeeze", "dim:dims"), "squeeze.multiple": Op("squeeze", "dim:dims"),
        "unsqueeze": Op("unsqueeze", "dim:dim"), "expand": Op("expand", "size:sizes", rest="size"),
        "narrow": Op("narrow", "dim:dim start:position length:value"),
        "select": Op("select", "dim:dim index:position"),
        "t": Op("t"), "clone": Op("clone", "memory_format:drop"),
        "arange": Op("arange", "end:value step:value dtype:drop device:drop", creates=True),
        "linspace": Op("linspace", "end:value steps:value dtype:drop device:drop", creates=True),
        "eye": Op("eye", "m:value dtype:drop device:drop requires_grad:drop", creates=True),
    },
}

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
    return {"op": op.name, "args": [argument(n, v) for n, v in args], "options": options,
            "outs": wanted}


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
    for dtype in ([torch.float64] if floats else []) + ([torch.int64] if op.ints or not floats else []):
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

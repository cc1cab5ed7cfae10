"""ops.py: which of PyTorch's ops are compared with which of mascon's, and with what samples."""

import math

import torch
from torch.testing._internal.opinfo.core import SampleInput

MAX_SAMPLES = 12  # of each op

# A line: op of OpInfo[.variant] -> mascon's op, then PyTorch's parameters after the input as
# name:kind. Kinds:
#   tensor       a tensor or number that becomes an argument (in the order of `order`)
#   index        a tensor of positions or labels; an argument, counted from 1
#   dim dims     a dimension, several; counted from 1
#   position     an index number, counted from 1
#   value        the option has PyTorch's value
#   pair sizes   one or two whole numbers, a list of them
#   label        a class number, counted from 1; negative ones stay
#   power        the p of a norm
#   positive     mascon refuses values below 1
#   classes      -1 stands for not given
#   unbiased     PyTorch's other name for correction = 1
#   as=NAME      mascon's option NAME has PyTorch's value
#   drop         has no influence on the values
#   never        only None, False and "" are expressible
#   =X           only the value X is expressible

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
        return "decided: images come in batches, {N, C, H, W}"


def scores_in_batches(sample):
    if sample.input.dim() < 2:
        return "decided: scores come in batches, {N, classes}"
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
    """PyTorch's own gradient takes 1 / 6 in float32 even for float64; this does not."""
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
            "weight": weight, "ignore_index": 1, "label_smoothing": 0.1 * i,
            "reduction": reduction})
        yield SampleInput(some((2, 3, 2)), args=(torch.tensor([[2, 0], [-100, 1]]),), kwargs={
            "weight": weight, "label_smoothing": 0.3, "reduction": reduction})
        yield SampleInput(some((4, 3)), args=(torch.softmax(some((4, 3)).detach(), 1),), kwargs={
            "weight": weight, "label_smoothing": 0.2, "reduction": reduction})


def positive_eps(sample):
    if sample.kwargs.get("eps", 1) < 0 or not 0 <= sample.kwargs.get("momentum", 0.1) <= 1:
        return "refused: eps below 0, momentum outside of [0, 1]"
    shape = sample.args[0] if sample.args else None
    if isinstance(shape, (tuple, list)) and math.prod(shape) < 3:
        return "gradients over 2 values are rounding alone"


def normalised_in_batches(sample):
    if positive_eps(sample):
        return positive_eps(sample)
    if sample.input.dim() < 2:
        return "refused: no channels"
    running = sample.args[0] if sample.args else sample.kwargs.get("running_mean")
    training = sample.kwargs.get("training", False)
    if not training and running is None:
        return "refused: no statistics to normalise by"
    if training and sample.input.numel() == sample.input.shape[1]:
        return "refused: 1 value per channel"


def batch_norms():
    for shape in ((4, 3), (3, 2, 5), (2, 3, 4, 3), (2, 2, 3, 2, 2)):
        c = shape[1]
        for training in (True, False):
            yield SampleInput(some(shape), args=(some(c).detach(), some(c).detach() ** 2 + 0.1),
                              kwargs={"weight": some(c), "bias": some(c), "training": training,
                                      "momentum": 0.3, "eps": 1e-3})


def layer_norms():
    for shape, sizes in (((4, 6), (6,)), ((2, 3, 5, 4), (5, 4)), ((3, 7), (3, 7))):
        yield SampleInput(some(shape), args=(sizes,), kwargs={"weight": some(sizes),
                                                              "bias": some(sizes), "eps": 1e-3})
        yield SampleInput(some(shape), args=(sizes,), kwargs={})


def antialiased():
    for mode in ("bilinear", "bicubic"):
        for size in ((3, 4), (9, 2), (11, 13)):
            for align_corners in (False, True):
                yield SampleInput(some((1, 2, 7, 8)), kwargs={
                    "size": size, "mode": mode, "antialias": True, "align_corners": align_corners})


def small_output_padding(sample):
    stride = sample.kwargs.get("stride", 1)
    extra_rows = sample.kwargs.get("output_padding", 0)
    pairs = [v if isinstance(v, (tuple, list)) else (v, v) for v in (extra_rows, stride)]
    if any(a >= b for a, b in zip(*pairs)):
        return "refused: output_padding that is not smaller than the stride"
    return batch_only(sample)


def sequences_only(sample):
    if sample.input.dim() != 3:
        return "decided: sequences come in batches, {N, C, L}"


def equal_pairs(sample):
    if sample.input.shape != sample.args[0].shape:
        return "refused: input and target of different shapes"
    if sample.input.numel() == 0 and sample.kwargs.get("reduction", "mean") == "mean":
        return "decided: the mean over 0 targets is refused"


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

WHOLE = "abs sign neg exp logical_not isnan sqrt".split()  # also tried with whole numbers

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
        **{name: Op(name, ints=name in WHOLE, extra=edges_nan)
           for name in ("exp log log1p expm1 sqrt rsqrt abs sign neg reciprocal floor ceil round "
                        "sin cos erf isnan isfinite logical_not").split()},
        "clamp": Op("clamp", "min:value max:value", extra=extra(
            ((5, 7), (-0.5, 0.75), {}), ((5, 7), (), {"min": 0.25}), ((5, 7), (), {"max": -0.25}),
            ((5, 7), (0.5, -0.5), {}), ((), (-0.5, 0.5), {}), ((0, 3), (-0.5, 0.5), {}))),
        "where": Op("where", "condition:tensor other:tensor", order="condition input other"),
    },
    "activations": {
        "sigmoid": Op("sigmoid", extra=edges_nan), "tanh": Op("tanh", extra=edges_nan),
        "nn.functional.relu": Op("relu", "inplace:drop", extra=edges_nan),
        "nn.functional.relu6": Op("relu6", "inplace:drop", extra=edges),
        "nn.functional.leaky_relu": Op("leaky_relu", "negative_slope:value inplace:drop",
                                       extra=edges_nan),
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
        "max.reduction_no_dim": Op("max", ints=True, extra=table(((), {}))),
        "min.reduction_no_dim": Op("min", ints=True, extra=table(((), {}))),
        "max.reduction_with_dim": Op("max", "dim:dim keepdim:value", outputs="1", extra=ONE),
        "min.reduction_with_dim": Op("min", "dim:dim keepdim:value", outputs="1", extra=ONE),
        "any": Op("any", "dim:dim keepdim:value", ints=True, extra=NO_OR_ONE),
        "all": Op("all", "dim:dim keepdim:value", ints=True, extra=NO_OR_ONE),
        "argmax": Op("argmax", "dim:dim keepdim:value", outputs="0", extra=NO_OR_ONE),
        "argmin": Op("argmin", "dim:dim keepdim:value", outputs="0", extra=NO_OR_ONE),
        "logsumexp": Op("logsumexp", "dim:dims keepdim:value", extra=ONE),
        "norm": Op("norm", "p:power " + REDUCE, extra=NO_OR_ONE),
        "norm.fro": Op("norm", "p:power " + REDUCE),
        "norm.inf": Op("norm", "p:power " + REDUCE),
        "linalg.vector_norm": Op("norm", "p:power " + REDUCE, extra=NO_OR_ONE),
        "cumsum": Op("cumsum", "dim:dim dtype:never", ints=True, extra=table(((1,), {}))),
        "sort": Op("sort", "dim:dim descending:value stable:drop", outputs="1"),
        "topk": Op("topk", "k:value dim:dim largest:value sorted:drop", outputs="1"),
    },
    "layers": {
        "matmul": Op("matmul", "other:tensor", ints=True), "mm": Op("matmul", "other:tensor"),
        "bmm": Op("bmm", "other:tensor", extra=extra(((3, 4, 5), (("x", (3, 5, 2)),), {}))),
        "mv": Op("matmul", "other:tensor"),
        "dot": Op("matmul", "other:tensor"), "outer": Op("outer", "other:tensor"),
        "nn.functional.linear": Op("linear", "weight:tensor bias:tensor", check=weight_matrix),
        "nn.functional.conv2d": Op(
            "conv2d",
            "weight:tensor bias:tensor stride:pair padding:pair dilation:pair groups:value",
            check=batch_only),
        "nn.functional.max_pool2d": Op(
            "max_pool2d", WINDOW + "dilation:pair ceil_mode:value return_indices:never",
            check=batch_only, extra=pictures_with_ties),
        "nn.functional.avg_pool2d": Op(
            "avg_pool2d",
            WINDOW + "ceil_mode:value count_include_pad:value divisor_override:positive",
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
    "normalisation": {
        "nn.functional.batch_norm": Op(
            "batch_norm", "running_mean:tensor running_var:tensor weight:tensor bias:tensor "
            "training:value momentum:value eps:value",
            order="input running_mean running_var weight bias", check=normalised_in_batches,
            extra=batch_norms),
        "nn.functional.layer_norm": Op(
            "layer_norm", "normalized_shape:as=sizes weight:tensor bias:tensor eps:value",
            order="input weight bias", check=positive_eps, extra=layer_norms),
        "nn.functional.group_norm": Op(
            "group_norm", "num_groups:as=groups weight:tensor bias:tensor eps:value",
            order="input weight bias", check=positive_eps),
        **{f"nn.functional.interpolate.{mode}": Op(
            "interpolate", "size:pair scale_factor:value mode:value align_corners:value "
            "recompute_scale_factor:never antialias:value", check=batch_only,
            extra=antialiased if mode == "bilinear" else None)
           for mode in "nearest nearest-exact bilinear bicubic".split()},
        "nn.functional.conv1d": Op(
            "conv1d", "weight:tensor bias:tensor stride:pair padding:pair dilation:pair "
            "groups:value", check=sequences_only),
        "nn.functional.conv_transpose2d": Op(
            "conv_transpose2d", "weight:tensor bias:tensor stride:pair padding:pair "
            "output_padding:pair groups:value dilation:pair", check=small_output_padding),
        "nn.functional.embedding": Op(
            "embedding", "index:index padding_idx:never max_norm:never norm_type:drop "
            "scale_grad_by_freq:never sparse:never", order="index input"),
    },
    "losses": {
        "nn.functional.nll_loss": Op(
            "nll_loss", "target:index weight:tensor size_average:never ignore_index:label "
            "reduce:never reduction:value", order="input target weight", no_grad="target weight",
            check=scores_in_batches),
        "nn.functional.mse_loss": Op(
            "mse_loss", "target:tensor size_average:never reduce:never reduction:value",
            check=equal_pairs),
        "nn.functional.l1_loss": Op(
            "l1_loss", "target:tensor size_average:never reduce:never reduction:value",
            check=equal_pairs),
        "nn.functional.binary_cross_entropy_with_logits": Op(
            "binary_cross_entropy_with_logits", "target:tensor weight:tensor size_average:never "
            "reduce:never reduction:value pos_weight:tensor",
            order="input target weight pos_weight", no_grad="weight pos_weight",
            check=equal_pairs),
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
        "index_select": Op("index_select", "dim:dim index:index", order="input index",
                           check=has_dims, extra=extra(((4, 3), (0, torch.tensor([3, 0, 0])), {}),
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

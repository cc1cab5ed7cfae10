#!/usr/bin/env python3
"""optim.py: cuts spec/golden/optim.safetensors for spec/optim_golden_spec.lua from PyTorch.

Needs a Python with torch. The file holds, in float64:
  optimizers   for each optimizer and set of options the values of two parameters, each in a group of
               its own, after each of 20 steps with given gradients; in some, gradients are missing
  clips        norms of given gradients, and the gradients after clipping
  schedules    for each schedule the rates (and momenta) of two groups, at first and after each of 20
               or more steps
Options are given as mascon takes them. All gradients are exact in float32.
"""

import sys

import torch

sys.dont_write_bytecode = True
from store import Store, lua  # noqa: E402

STEPS = 20
SHAPES = [(2, 3), (4,)]

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}, {}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}, {"lr": 0.2}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True}, {"momentum": 0.5}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "maximize": True}, {"weight_decay": 0.3}),
    ("Adam", {"lr": 0.05}, {}),
    ("Adam", {"lr": 0.05, "betas": [0.7, 0.9], "eps": 1e-3, "weight_decay": 0.2}, {"lr": 0.01}),
    ("Adam", {"lr": 0.05, "amsgrad": True}, {"amsgrad": False}),
    ("Adam", {"lr": 0.05, "maximize": True}, {"betas": [0.5, 0.6]}),
    ("AdamW", {"lr": 0.05}, {}),
    ("AdamW", {"lr": 0.05, "betas": [0.7, 0.9], "eps": 1e-3, "weight_decay": 0.2}, {"lr": 0.01}),
    ("AdamW", {"lr": 0.05, "amsgrad": True}, {"weight_decay": 0}),
    ("AdamW", {"lr": 0.05, "maximize": True}, {}),
    ("RMSprop", {}, {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.2}, {"lr": 0.05}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.9}, {"momentum": 0}),
    ("RMSprop", {"lr": 0.02, "centered": True}, {}),
    ("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.5, "maximize": True}, {"alpha": 0.5}),
]

CLIPS = [(1.0, 2), (100.0, 2), (0.5, 1), (2.0, 3.5), (0.25, float("inf"))]

S = torch.optim.lr_scheduler
SCHEDULES = [
    ("StepLR", {"step_size": 3}, "Adam"),
    ("StepLR", {"step_size": 7, "gamma": 0.5}, "SGD"),
    ("MultiStepLR", {"milestones": [2, 5, 5, 13]}, "SGD"),
    ("MultiStepLR", {"milestones": [1], "gamma": 0.3}, "SGD"),
    ("ExponentialLR", {"gamma": 0.9}, "SGD"),
    ("LinearLR", {}, "SGD"),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 12}, "SGD"),
    ("CosineAnnealingLR", {"T_max": 10}, "SGD"),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.002}, "SGD"),
    ("CosineAnnealingLR", {"T_max": 1}, "SGD"),
    ("LambdaLR", {"lr_lambda": "1 / (1 + n)"}, "SGD"),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20}, "SGD"),
    ("OneCycleLR", {"max_lr": [0.3, 0.5], "total_steps": 25, "pct_start": 0.4,
                    "anneal_strategy": "linear", "div_factor": 10, "final_div_factor": 100}, "AdamW"),
    ("OneCycleLR", {"max_lr": 0.3, "epochs": 4, "steps_per_epoch": 6, "three_phase": True,
                    "base_momentum": 0.5, "max_momentum": 0.8}, "RMSprop"),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20, "cycle_momentum": False}, "Adam"),
    ("ReduceLROnPlateau", {"patience": 1}, "SGD"),
    ("ReduceLROnPlateau", {"mode": "max", "patience": 0, "factor": 0.5, "cooldown": 2,
                           "min_lr": [0.001, 0.1]}, "SGD"),
    ("ReduceLROnPlateau", {"patience": 2, "threshold": 0.2, "threshold_mode": "abs", "eps": 0.003},
     "SGD"),
    ("SequentialLR", {"milestones": [5]}, "SGD"),
    ("SequentialLR", {"milestones": [3, 9, 15]}, "SGD"),
]

# What a SequentialLR runs, by its number of milestones.
SEQUENCES = {
    1: [("LinearLR", {"start_factor": 0.1, "total_iters": 5}), ("CosineAnnealingLR", {"T_max": 15})],
    3: [("StepLR", {"step_size": 2}), ("MultiStepLR", {"milestones": [2, 4]}),
        ("LinearLR", {"total_iters": 4}), ("ExponentialLR", {"gamma": 0.8})],
}

WATCHED = [1.0, 0.9, 0.95, 0.91, 0.92, 0.8, 0.8, 0.8, 0.79999, 0.81, 0.7, 0.75, 0.72, 0.9, 0.71, 0.73,
           float("nan"), 0.6, 0.61, 0.62, 0.63, 0.64, 0.65, 0.66, 0.67]


def noise(seed, *shape):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g).float().double()


def python_options(options):
    return {k: tuple(v) if k == "betas" else v for k, v in options.items()}


def optimizer_of(name, params, options, second=None):
    groups = [{"params": [params[0]]}, dict(python_options(second or {}), params=[params[1]])]
    return getattr(torch.optim, name)(groups, foreach=False, **python_options(options))


def trace(store, index, name, options, second):
    start = [noise(10 + i, *shape) for i, shape in enumerate(SHAPES)]
    grads = [noise(20 + i, STEPS, *shape) * 2 ** (index % 3) for i, shape in enumerate(SHAPES)]
    grads[0][7:] *= 0.125  # past its largest squares amsgrad differs
    params = [p.clone().requires_grad_() for p in start]
    optimizer, paths = optimizer_of(name, params, options, second), [[], []]
    for step in range(STEPS):
        for i, p in enumerate(params):
            missing = i == 1 and (step < index % 4 or step == 12)
            p.grad = None if missing else grads[i][step].clone()
        optimizer.step()
        for i, p in enumerate(params):
            paths[i].append(p.detach().clone())
    return {"name": name, "options": options, "second": second, "late": index % 4,
            "start": [store.add(t.float()) for t in start],
            "grads": [store.add(t.float()) for t in grads],
            "paths": [store.add(torch.stack(path)) for path in paths]}


def clip(store, max_norm, norm_type):
    params = [torch.zeros(*shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES]
    for i, p in enumerate(params):
        p.grad = noise(40 + i, *SHAPES[i])
    grads = [store.add(p.grad.float()) for p in params]
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm, norm_type=norm_type)
    return {"max_norm": max_norm, "norm_type": norm_type, "grads": grads, "norm": norm.item(),
            "after": [store.add(p.grad) for p in params]}


def schedule_of(name, options, optimizer):
    if name == "SequentialLR":
        parts = [schedule_of(n, o, optimizer) for n, o in SEQUENCES[len(options["milestones"])]]
        return S.SequentialLR(optimizer, parts, options["milestones"])
    if name == "LambdaLR":
        return S.LambdaLR(optimizer, lambda n: 1 / (1 + n))
    return getattr(S, name)(optimizer, **options)


def schedule(name, options, kind):
    params = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizer = optimizer_of(kind, params, {"lr": 0.1}, {"lr": 0.03})
    made = schedule_of(name, options, optimizer)
    rates, momenta = [], []

    def note():
        rates.extend(g["lr"] for g in optimizer.param_groups)
        momenta.extend(g["betas"][0] if "betas" in g else g["momentum"]
                       for g in optimizer.param_groups)

    note()
    for step in range(options.get("total_steps", 25) if name == "OneCycleLR" else 25):
        if name == "OneCycleLR" and step >= made.total_steps:
            break
        optimizer.step()
        made.step(*([WATCHED[step]] if name == "ReduceLROnPlateau" else []))
        note()
    return {"name": name, "options": {k: v for k, v in options.items() if k != "lr_lambda"},
            "optimizer": kind, "rates": rates,
            "momenta": momenta if options.get("cycle_momentum", name == "OneCycleLR") else None,
            "parts": [{"name": n, "options": o} for n, o in SEQUENCES[len(options["milestones"])]]
            if name == "SequentialLR" else None}


def main():
    torch.set_num_threads(1)
    store = Store()
    traces = [trace(store, i, *case) for i, case in enumerate(OPTIMIZERS)]
    clips = [clip(store, *case) for case in CLIPS]
    schedules = [schedule(*case) for case in SCHEDULES]
    size = store.write("optim", {
        "optimizers": "return " + lua(traces), "clips": "return " + lua(clips),
        "schedules": "return " + lua(schedules), "watched": "return " + lua(WATCHED)})
    print(f"== optim: {size} bytes")


main()

"""PyTorch's side of scripts/bench, once per round:
python torch_workloads.py NAME CONFIG SECONDS THREADS DEVICE [BATCH] [SIZE]; prints "ms BEST MEDIAN COUNT".
With "serve" as NAME it reads lines "NAME CONFIG SECONDS" and answers each so, keeping what it prepared.
CONFIG is eager, channels_last, compiled or, for inference, frozen: compiled for channels-last memory with
the weights as constants. On a GPU also graphed, the whole step of channels_last as one CUDA graph, and
compiled_graphs, torch.compile's mode "reduce-overhead" over channels-last memory. A name that ends in _bf16
is the workload under autocast. On a GPU float32 convolutions use TF32 and products do not, as PyTorch does
by itself, and all but eager and compiled also let cuDNN time its algorithms."""
import sys
import time

import torch
from torch import nn

name, config, seconds, threads, device = sys.argv[1:6]
batch = int(sys.argv[6]) if len(sys.argv) > 6 else 32
size = int(sys.argv[7]) if len(sys.argv) > 7 else 224
seconds = float(seconds)
on_gpu = device.startswith("cuda")


def autocast_of_workload():
    """The autocast of the workload that is being prepared, to be entered at every call."""
    half = name.endswith("_bf16")
    cache = config != "graphed"  # a graph must not read casts that were made outside it
    return lambda: torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=half, cache_enabled=cache)


torch.set_num_threads(int(threads))
torch.manual_seed(0)


class SimpleCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_block_1 = nn.Sequential(
            nn.Conv2d(3, 10, 3, padding=1), nn.ReLU(),
            nn.Conv2d(10, 10, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(10 * 16 * 16, 10))

    def forward(self, x):
        return self.classifier(self.conv_block_1(x))


def block(source, to):
    return nn.Sequential(
        nn.Conv2d(source, to, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(to),
        nn.Conv2d(to, to, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(to),
        nn.MaxPool2d(2), nn.Dropout(0.25))


class CustomCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(block(3, 32), block(32, 64), block(64, 128), block(128, 256))
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(1024, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.5),
            nn.Linear(512, 1024), nn.ReLU(), nn.BatchNorm1d(1024), nn.Dropout(0.5), nn.Linear(1024, 10))

    def forward(self, x):
        return self.classifier(self.blocks(x))


def prepare(model, x):
    model, x = model.to(device), x.to(device)
    if config in ("channels_last", "frozen", "graphed", "compiled_graphs"):
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    if config == "frozen":
        from torch._inductor import config as inductor
        inductor.freezing = True
    if config == "compiled_graphs":
        model = torch.compile(model, mode="reduce-overhead")
    if config in ("compiled", "frozen"):
        model = torch.compile(model)
    return model, x


def as_graph(fn):
    """fn's kernels as one CUDA graph; calls of it return the same tensor."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            fn()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = fn()

    def replay():
        graph.replay()
        return y
    return replay


def training_step(model, x, y):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3, fused=True, capturable=config == "graphed")
    loss_fn = nn.CrossEntropyLoss()
    in_dtype = autocast_of_workload()

    def step():
        with in_dtype():
            loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    step = as_graph(step) if config == "graphed" else step
    return lambda: step().item()


def w1():
    model, x = prepare(SimpleCNN(), torch.rand(batch, 3, 32, 32))
    return training_step(model, x, torch.randint(0, 10, (batch,)).to(device))


def w2():
    model, x = prepare(CustomCNN(), torch.rand(batch, 3, 32, 32))
    return training_step(model, x, torch.randint(0, 10, (batch,)).to(device))


def inference(model, x=None):
    model, x = prepare(model.eval(), torch.rand(1, 3, 32, 32) if x is None else x)

    mode = torch.no_grad if config == "frozen" else torch.inference_mode  # freezing asks for the first
    in_dtype = autocast_of_workload()

    def forward():
        with mode(), in_dtype():
            return model(x)

    forward = as_graph(forward) if config == "graphed" else forward

    def run():
        y = forward()
        if on_gpu:
            torch.cuda.synchronize()
        return y
    return run


def w3():
    from torchvision.models import resnet50
    return inference(resnet50(), torch.rand(batch, 3, size, size))


def w3_head():
    from torchvision.models import resnet50
    model = resnet50().requires_grad_(False)
    model.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(2048, 10))
    model, x = prepare(model.train(), torch.rand(batch, 3, size, size))
    return training_step(model, x, torch.randint(0, 10, (batch,)).to(device))


def w4():
    return inference(SimpleCNN())


def w4_custom():
    return inference(CustomCNN())


def epoch():
    """The lecture's epoch: 40,000 pictures through DataLoader and ToTensor; `config` is the number of
    workers (workers0, workers2)."""
    import os
    import numpy as np
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision.transforms import ToTensor

    root = os.path.join(os.environ["MASCON_DATA"], "cifar-10-batches-bin")
    raw = np.concatenate([np.fromfile(os.path.join(root, f"data_batch_{i}.bin"), np.uint8).reshape(-1, 3073)
                          for i in range(1, 6)])
    pictures = raw[:40000, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()
    labels = raw[:40000, 0].astype(np.int64)

    class Pictures(Dataset):
        transform = ToTensor()

        def __len__(self):
            return len(labels)

        def __getitem__(self, i):
            return self.transform(Image.fromarray(pictures[i])), int(labels[i])

    loader = DataLoader(Pictures(), batch_size=32, shuffle=True, num_workers=int(config[-1]))
    model = SimpleCNN()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_fn = nn.CrossEntropyLoss()

    def run():
        total = correct = 0
        for x, y in loader:
            scores = model(x)
            loss = loss_fn(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            correct += (scores.argmax(dim=1) == y).sum().item() / len(y)
    return run


workloads = {"w1": w1, "w2": w2, "w3": w3, "w3_head": w3_head, "w4": w4, "w4_custom": w4_custom, "epoch": epoch}
prepared = {}


def answer():
    """Times the workload that the globals name."""
    if on_gpu:
        torch.backends.cudnn.benchmark = config not in ("eager", "compiled")
    if (name, config) not in prepared:
        torch.manual_seed(0)
        prepared[name, config] = workloads[name.removesuffix("_bf16")]()
    fn = prepared[name, config]
    times = []
    if name == "epoch":
        begun = time.perf_counter()
        fn()
        times.append((time.perf_counter() - begun) * 1e3)
    else:
        for _ in range(3):
            fn()
        warm = time.perf_counter() + min(1, seconds / 3)
        while time.perf_counter() < warm:
            fn()
        stop = time.perf_counter() + seconds
        while time.perf_counter() < stop:
            begun = time.perf_counter()
            fn()
            times.append((time.perf_counter() - begun) * 1e3)
    times.sort()
    return f"ms {times[0]:.6f} {times[(len(times) + 1) // 2 - 1]:.6f} {len(times)}"


if name != "serve":
    print(answer())
else:
    for line in sys.stdin:
        name, config, seconds = line.split()
        seconds = float(seconds)
        try:
            text = answer()
        except Exception as error:  # one configuration that fails leaves the others
            text = "failed " + " ".join(str(error).split())[:300]
        print(text, flush=True)

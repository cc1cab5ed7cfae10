--- What help says of classes and functions that are no operation: name -> {summary, shapes, example}.
-- Options and their defaults are not repeated here; help reads them from the constructor itself, which gets
-- the arguments `before` for that ("optimizer": one), called `takes`. Without `before` a function is not
-- called. Examples run as they stand where the session's globals are there.

local M = {}

--- Names in the order in which they are listed.
M.names = {}
---@type table<string, {summary: string, shapes: string?, example: string?, before: any, takes: string?}>
M.rows = {}

local function add(part, takes, rows)
  for _, row in ipairs(rows) do
    local name = part .. row[1]
    M.names[#M.names + 1] = name
    M.rows[name] = { summary = row[2], shapes = row[3], example = row[4], before = row.before,
      takes = row.takes or row.before and takes }
  end
end

local any, none = "{...} -> the same shape", nil
local scores = "scores {batch, classes}, classes {batch} counted from 1 -> a scalar, or {batch} with \"none\""
local pair = "x and y of one shape -> a scalar, or that shape with reduction \"none\""

add("nn.", nil, {
  { "Conv2d", "2-D convolution with weight and bias", "{batch, in_channels, h, w} -> {batch, out_channels, h', w'}",
    "nn.Conv2d(3, 8, {kernel_size = 3, padding = 1})(mascon.rand{1, 3, 8, 8})" },
  { "Conv1d", "1-D convolution with weight and bias", "{batch, in_channels, length} -> {batch, out_channels, length'}",
    "nn.Conv1d(3, 8, 3)(mascon.rand{1, 3, 16})" },
  { "ConvTranspose2d", "transposed 2-D convolution: enlarges pictures",
    "{batch, in_channels, h, w} -> {batch, out_channels, h', w'}",
    "nn.ConvTranspose2d(3, 8, 2, {stride = 2})(mascon.rand{1, 3, 8, 8})" },
  { "Linear", "y = x W^T + b over the last dimension", "{..., in_features} -> {..., out_features}",
    "nn.Linear(4, 2)(mascon.rand{5, 4})" },
  { "MaxPool2d", "the largest value of each window", "{batch, c, h, w} -> {batch, c, h', w'}",
    "nn.MaxPool2d(2)(mascon.rand{1, 3, 8, 8})" },
  { "AvgPool2d", "the mean of each window", "{batch, c, h, w} -> {batch, c, h', w'}",
    "nn.AvgPool2d(2)(mascon.rand{1, 3, 8, 8})" },
  { "AdaptiveAvgPool2d", "means that give pictures of a fixed size", "{batch, c, h, w} -> {batch, c, output_size}",
    "nn.AdaptiveAvgPool2d(1)(mascon.rand{1, 3, 8, 8})" },
  { "Flatten", "joins dimensions; the batch stays", "{batch, c, h, w} -> {batch, c * h * w}",
    "nn.Flatten()(mascon.rand{2, 3, 4, 4})" },
  { "Identity", "returns its input", any, "nn.Identity()(mascon.rand{2})" },
  { "Dropout", "in training zeroes elements with probability p and scales the others", any,
    "nn.Dropout(0.5)(mascon.ones{4})" },
  { "Dropout2d", "in training zeroes whole channels with probability p and scales the others",
    "{batch, c, h, w} -> the same shape", "nn.Dropout2d(0.5)(mascon.ones{1, 4, 2, 2})" },
  { "BatchNorm1d", "normalises each channel over the batch", "{batch, c} or {batch, c, length} -> the same shape",
    "nn.BatchNorm1d(4)(mascon.rand{8, 4})" },
  { "BatchNorm2d", "normalises each channel over the batch and its pixels", "{batch, c, h, w} -> the same shape",
    "nn.BatchNorm2d(4)(mascon.rand{2, 4, 3, 3})" },
  { "LayerNorm", "normalises over the last dimensions", "{..., normalized_shape} -> the same shape",
    "nn.LayerNorm(4)(mascon.rand{2, 4})" },
  { "GroupNorm", "normalises over groups of channels", "{batch, c, ...} -> the same shape",
    "nn.GroupNorm(2, 4)(mascon.rand{2, 4, 3, 3})" },
  { "Embedding", "numbers 1..num_embeddings become rows of a table", "{...} int64 -> {..., embedding_dim}",
    "nn.Embedding(10, 3)(mascon.tensor({1, 10}, {dtype = \"int64\"}))" },
  { "MultiheadAttention", "each row looks at the rows of a second sequence, in several heads",
    "{batch, n, embed_dim} -> {batch, n, embed_dim}, weights {batch, n, m}",
    "nn.MultiheadAttention(8, 2)(mascon.rand{1, 3, 8}, mascon.rand{1, 4, 8}, mascon.rand{1, 4, 8})" },
  { "Upsample", "enlarges pictures", "{batch, c, h, w} -> {batch, c, h', w'}",
    "nn.Upsample{scale_factor = 2}(mascon.rand{1, 3, 4, 4})" },
  { "ReLU", "max(x, 0)", any, "nn.ReLU()(mascon.randn{4})" },
  { "ReLU6", "min(max(x, 0), 6)", any, "nn.ReLU6()(mascon.randn{4})" },
  { "LeakyReLU", "x, times negative_slope where x < 0", any, "nn.LeakyReLU(0.1)(mascon.randn{4})" },
  { "ELU", "x, and alpha * (exp(x) - 1) where x < 0", any, "nn.ELU()(mascon.randn{4})" },
  { "SiLU", "x * sigmoid(x)", any, "nn.SiLU()(mascon.randn{4})" },
  { "Hardswish", "x * min(max(x + 3, 0), 6) / 6", any, "nn.Hardswish()(mascon.randn{4})" },
  { "Hardsigmoid", "min(max(x + 3, 0), 6) / 6", any, "nn.Hardsigmoid()(mascon.randn{4})" },
  { "GELU", "x times the probability that a normal value is below it", any, "nn.GELU()(mascon.randn{4})" },
  { "Sigmoid", "1 / (1 + exp(-x))", any, "nn.Sigmoid()(mascon.randn{4})" },
  { "Tanh", "hyperbolic tangent", any, "nn.Tanh()(mascon.randn{4})" },
  { "Softplus", "log(1 + exp(beta * x)) / beta", any, "nn.Softplus()(mascon.randn{4})" },
  { "Softmax", "positive values that add up to 1 along a dimension", any, "nn.Softmax(2)(mascon.randn{2, 4})" },
  { "LogSoftmax", "logarithm of Softmax", any, "nn.LogSoftmax(2)(mascon.randn{2, 4})" },
  { "CrossEntropyLoss", "scores against class numbers or probabilities", scores,
    "nn.CrossEntropyLoss()(mascon.randn{2, 3}, mascon.tensor({1, 3}, {dtype = \"int64\"}))" },
  { "NLLLoss", "log-probabilities against class numbers", scores,
    "nn.NLLLoss()(mascon.randn{2, 3}:log_softmax(2), mascon.tensor({1, 3}, {dtype = \"int64\"}))" },
  { "MSELoss", "mean of squared differences", pair, "nn.MSELoss()(mascon.rand{4}, mascon.rand{4})" },
  { "L1Loss", "mean of absolute differences", pair, "nn.L1Loss()(mascon.rand{4}, mascon.rand{4})" },
  { "BCEWithLogitsLoss", "scores of yes or no against 0..1", pair,
    "nn.BCEWithLogitsLoss()(mascon.randn{4}, mascon.rand{4})" },
  { "Sequential", "runs its children one after the other: nn.Sequential(a, b) or {{\"name\", a}, ...}", none,
    "nn.Sequential(nn.Linear(4, 3), nn.ReLU())(mascon.rand{2, 4})" },
  { "ModuleList", "a list of modules; it has no forward", none, "#nn.ModuleList{nn.ReLU(), nn.Tanh()}" },
  { "Module", "the base of layers and networks: Net = nn.Module:extend \"Net\", with methods init and forward", none,
    "nn.Module:extend(\"Net\").class_name" },
  { "Parameter", "a tensor that becomes a parameter of the module to whose field it is assigned", none,
    "nn.Parameter(mascon.zeros{3})" },
})

local weight = "mascon.zeros({1}, {requires_grad = true})"

add("optim.", "params", {
  { "SGD", "gradient descent, with momentum where it is given", none, "optim.SGD({" .. weight .. "}, {lr = 0.1})",
    before = { {} } },
  { "Adam", "steps by running means of gradients and of their squares", none,
    "optim.Adam({" .. weight .. "}, {lr = 1e-3})", before = { {} } },
  { "AdamW", "Adam with decay taken from the parameter itself", none,
    "optim.AdamW({" .. weight .. "}, {weight_decay = 0.01})", before = { {} } },
  { "RMSprop", "steps by a running mean of squared gradients", none, "optim.RMSprop{" .. weight .. "}",
    before = { {} } },
})

local rate = "(optim.SGD({" .. weight .. "}, {lr = 0.1}), "

add("optim.lr_scheduler.", "optimizer", {
  { "StepLR", "the rate times gamma after every step_size steps", none,
    "optim.lr_scheduler.StepLR" .. rate .. "{step_size = 30})", before = "optimizer" },
  { "MultiStepLR", "the rate times gamma after each milestone", none,
    "optim.lr_scheduler.MultiStepLR" .. rate .. "{milestones = {30, 80}})", before = "optimizer" },
  { "ExponentialLR", "the rate times gamma after each step", none,
    "optim.lr_scheduler.ExponentialLR" .. rate .. "{gamma = 0.9})", before = "optimizer" },
  { "LinearLR", "a factor that moves evenly from start_factor to end_factor", none,
    "optim.lr_scheduler.LinearLR" .. rate .. "{total_iters = 5})", before = "optimizer" },
  { "CosineAnnealingLR", "half a wave of the cosine from the rate down to eta_min", none,
    "optim.lr_scheduler.CosineAnnealingLR" .. rate .. "{T_max = 100})", before = "optimizer" },
  { "ReduceLROnPlateau", "a smaller rate when a measure stops getting better", none,
    "optim.lr_scheduler.ReduceLROnPlateau" .. rate .. "{patience = 3})", before = "optimizer" },
  { "OneCycleLR", "up to max_lr and down again, once in the whole training", none,
    "optim.lr_scheduler.OneCycleLR" .. rate .. "{max_lr = 0.1, total_steps = 100})", before = "optimizer" },
  { "LambdaLR", "the rate times a function of the step", none,
    "optim.lr_scheduler.LambdaLR" .. rate .. "{lr_lambda = function(step) return 0.9 ^ step end})",
    before = "optimizer" },
  { "SequentialLR", "one scheduler after the other", none, nil },
})

add("data.", "dataset", {
  { "DataLoader", "batches of a data set, epoch by epoch: for X, y in loader() do ... end", none,
    "data.DataLoader(datasets.FakeData{size = 8, transform = T.ToTensor()}, {batch_size = 4})", before = { {} } },
  { "TensorDataset", "samples are rows of tensors", none, "data.TensorDataset(mascon.rand{8, 2}, mascon.ones{8})" },
  { "Subset", "the samples of a data set that a list of numbers names", none,
    "data.Subset(datasets.FakeData{size = 8}, {1, 3})" },
  { "ConcatDataset", "data sets one after the other", none,
    "data.ConcatDataset{datasets.FakeData{size = 4}, datasets.FakeData{size = 4}}" },
  { "random_split", "parts of a data set, of the given sizes or shares", none,
    "data.random_split(datasets.FakeData{size = 8}, {6, 2})" },
})

add("datasets.", nil, {
  { "CIFAR10", "60,000 pictures {3, 32, 32} in 10 classes", none, nil, before = {} },
  { "CIFAR100", "60,000 pictures {3, 32, 32} in 100 classes", none, nil, before = {} },
  { "MNIST", "70,000 digits {1, 28, 28}", none, nil, before = {} },
  { "FashionMNIST", "70,000 pieces of clothing {1, 28, 28}", none, nil, before = {} },
  { "ImageFolder", "picture files in a folder for each class", none, nil, before = {} },
  { "FakeData", "drawn pictures, for trying a script out", none, "datasets.FakeData{size = 8}", before = {} },
})

add("transforms.", nil, {
  { "ToTensor", "uint8 pictures to float32 in [0, 1]", none, "T.ToTensor()", before = {} },
  { "Normalize", "(x - mean) / std for each channel", none, "T.Normalize({0.5}, {0.5})", before = {} },
  { "ConvertImageDtype", "another dtype with its usual range", none, "T.ConvertImageDtype(\"float32\")", before = {} },
  { "Resize", "another size, as Pillow gives it", none, "T.Resize(32)", before = {} },
  { "CenterCrop", "the middle", none, "T.CenterCrop(24)", before = {} },
  { "Pad", "a border", none, "T.Pad(2)", before = {} },
  { "RandomCrop", "a part at a random place", none, "T.RandomCrop(24)", before = {} },
  { "RandomResizedCrop", "a random part in one size", none, "T.RandomResizedCrop(24)", before = {} },
  { "RandomHorizontalFlip", "left and right change places, with probability p", none, "T.RandomHorizontalFlip(0.5)",
    before = {} },
  { "RandomVerticalFlip", "top and bottom change places, with probability p", none, "T.RandomVerticalFlip(0.5)",
    before = {} },
  { "RandomRotation", "a turn by a random angle", none, "T.RandomRotation(10)", before = {} },
  { "ColorJitter", "random brightness, contrast, saturation and hue", none, "T.ColorJitter{brightness = 0.2}",
    before = {} },
  { "Grayscale", "colours to gray", none, "T.Grayscale()", before = {} },
  { "RandomErasing", "a random rectangle is filled", none, "T.RandomErasing()", before = {} },
  { "Lambda", "a function of the script", none, "T.Lambda(function(x) return x end)", before = {} },
  { "Compose", "one after the other", none, "T.Compose{T.ToTensor(), T.Normalize({0.5}, {0.5})}" },
})

local images = "plot.images(mascon.rand{2, 3, 16, 16})"

add("plot.", "values", {
  { "lines", "curves: {name = {y...}} or {y...}", none, "plot.lines({loss = {3, 2, 1.5}}, {title = \"training\"})",
    before = { { 1, 2 } } },
  { "scatter", "points", none, "plot.scatter{{\"a\", {1, 2, 3}, {3, 1, 2}}}" },
  { "hist", "how often values occur", none, "plot.hist(mascon.randn{100})", before = { { 1, 2 } } },
  { "heatmap", "a matrix as colours", none, "plot.heatmap{{1, 2}, {3, 4}}", before = { { { 1, 2 }, { 3, 4 } } } },
  { "images", "pictures side by side", "{n, C, H, W} or a list of {C, H, W}", images },
  { "grid", "several figures in one", none, "plot.grid{plot.lines{1, 2}, plot.lines{2, 1}}" },
})

add("metrics.", nil, {
  { "ConfusionMatrix", "counts of predicted against true classes: update, accuracy, precision, recall, f1, values",
    none, "metrics.ConfusionMatrix(3)" },
  { "accuracy", "the share of right predictions", none, "metrics.accuracy({1, 2}, {1, 1})" },
})

local sizes = { { 1 } }

add("", "shape", {
  { "tensor", "a tensor of a number or of nested lists", none, "mascon.tensor{{1, 2}, {3, 4}}", before = sizes,
    takes = "values" },
  { "zeros", "a tensor of zeros", none, "mascon.zeros{2, 3}", before = sizes },
  { "ones", "a tensor of ones", none, "mascon.ones{2, 3}", before = sizes },
  { "empty", "a tensor whose values are not set", none, "mascon.empty{2, 3}", before = sizes },
  { "rand", "even random values in [0, 1)", none, "mascon.rand{2, 3}", before = sizes },
  { "randn", "normal random values", none, "mascon.randn{2, 3}", before = sizes },
  { "stack", "tensors of one shape along a new dimension", none, "mascon.stack{mascon.ones{2}, mascon.zeros{2}}" },
  { "where", "elements of x where a condition is true, else of y", none,
    "mascon.where(mascon.tensor{1, -1}:gt(0), 1, 0)" },
  { "no_grad", "calls a function in which nothing is recorded", none, "mascon.no_grad(function() return 1 end)" },
  { "inference_mode", "no_grad, and faster", none, "mascon.inference_mode(function() return 1 end)" },
  { "autocast", "calls a function with products and convolutions in bfloat16", none,
    'mascon.autocast("bfloat16", function() return 1 end)' },
  { "scope", "calls a function and releases what it made, but not what it returns", none,
    "mascon.scope(function() return mascon.ones{2} end)" },
  { "manual_seed", "fixes all random values that follow", none, "mascon.manual_seed(42)" },
  { "save", "writes tensors by name, or one, as safetensors", none, nil },
  { "load", "reads safetensors and PyTorch's checkpoints", none, nil },
  { "profile", "where the time of a function goes, by operation", none,
    "mascon.profile(function() return mascon.ones{9}:sum() end)" },
  { "memory", "what the allocators hold", none, "mascon.memory()" },
  { "tqdm", "a progress line around a loop: for X, y in mascon.tqdm(loader) do", none, nil, before = { 3 },
    takes = "source" },
  { "EarlyStopping", "tells when a measure has stopped getting better", none, "mascon.EarlyStopping{patience = 3}",
    before = {}, takes = "" },
  { "config", "versions, devices, processor features, libraries", none, "mascon.config()" },
})

return M

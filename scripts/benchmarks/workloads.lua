--- What scripts/bench times. Called as a program of its own, once per round:
-- build/mascon scripts/benchmarks/workloads.lua NAME SECONDS THREADS DEVICE [BATCH] [SIZE]; prints
-- "ms VALUE..." . A name that ends in _bf16 is the workload under autocast; one that ends in _compiled
-- (after that) has its steps recorded and replayed.

local mascon = require "mascon"
local nn, optim = mascon.nn, mascon.optim
local now = require "mascon.ffi".now

local batch, size = select(5, ...)
local BATCH, SIZE = tonumber(batch) or 32, tonumber(size) or 224 -- SIZE: of w3's pictures
local name, length, threads, place = ...
local compiled = name:match "_compiled$" ~= nil
name = name:gsub("_compiled$", "")
local half = name:match "_bf16$" ~= nil

local function perhaps_compiled(fn)
  return compiled and mascon.compile(fn) or fn
end

--- fn(...) in the dtype of the workload.
local function in_dtype(fn, ...)
  if half then
    return mascon.autocast("bfloat16", fn, ...)
  end
  return fn(...)
end

local SimpleCNN = nn.Module:extend "SimpleCNN"

function SimpleCNN:init()
  self.conv_block_1 = nn.Sequential(
    nn.Conv2d(3, 10, { kernel_size = 3, padding = 1 }), nn.ReLU(),
    nn.Conv2d(10, 10, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.MaxPool2d(2))
  self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(10 * 16 * 16, 10))
end

function SimpleCNN:forward(x)
  return self.classifier(self.conv_block_1(x))
end

local CustomCNN = nn.Module:extend "CustomCNN"

local function block(from, to)
  return nn.Sequential(
    nn.Conv2d(from, to, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(to),
    nn.Conv2d(to, to, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(to),
    nn.MaxPool2d(2), nn.Dropout(0.25))
end

function CustomCNN:init()
  self.block_1, self.block_2 = block(3, 32), block(32, 64)
  self.block_3, self.block_4 = block(64, 128), block(128, 256)
  self.classifier = nn.Sequential(nn.Flatten(),
    nn.Linear(1024, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.5),
    nn.Linear(512, 1024), nn.ReLU(), nn.BatchNorm1d(1024), nn.Dropout(0.5), nn.Linear(1024, 10))
end

function CustomCNN:forward(x)
  return self.classifier(self.block_4(self.block_3(self.block_2(self.block_1(x)))))
end

--- Calls fn until the seconds are over; the milliseconds of each call after a warm-up.
local function measure(fn, seconds)
  local warm = now() + math.min(1, seconds / 3)
  repeat
    fn()
  until now() > warm
  local times, stop = {}, now() + seconds
  repeat
    local begun = now()
    fn()
    times[#times + 1] = (now() - begun) * 1e3
  until now() > stop
  return times
end

local function picture_batch(n)
  local x = require "mascon.create".new_nhwc("batch", { n, 3, 32, 32 })
  return x:uniform_()
end

local workloads = {}

local function large_batch()
  return require "mascon.create".new_nhwc("batch", { BATCH, 3, SIZE, SIZE }):uniform_()
end

--- A step of the model; `trained`: the part of it that is trained, if not all.
local function training_step(model, device, x, trained)
  model:to(device)
  local optimizer = optim.Adam((trained or model):parameters(), { lr = 1e-3 })
  local loss_fn = nn.CrossEntropyLoss()
  x = (x or picture_batch(BATCH)):to(device)
  local y = mascon.randint(1, 10, { BATCH }):to(device)
  local function forward(a, b)
    return loss_fn(model(a), b)
  end
  local step = perhaps_compiled(function(a, b)
    local loss = in_dtype(forward, a, b)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return loss
  end)
  return function()
    return step(x, y):item()
  end
end

function workloads.w1(device)
  return training_step(SimpleCNN(), device)
end

function workloads.w2(device)
  return training_step(CustomCNN(), device)
end

local function inference(model, device, x)
  model:to(device):eval()
  x = (x or picture_batch(1)):to(device)
  local function forward(a)
    return model(a)
  end
  local run = perhaps_compiled(function(a)
    return mascon.inference_mode(in_dtype, forward, a)
  end)
  local on_gpu = device:match "^cuda" ~= nil
  return function()
    local y = run(x)
    if on_gpu then
      mascon.cuda.synchronize(device)
    end
    return y
  end
end

function workloads.w4(device)
  return inference(SimpleCNN(), device)
end

function workloads.w4_custom(device)
  return inference(CustomCNN(), device)
end

--- ResNet-50 over a batch of large pictures.
function workloads.w3(device)
  return inference(mascon.models.resnet50(), device, large_batch())
end

--- A new head on a frozen ResNet-50 in train().
function workloads.w3_head(device)
  local model = mascon.models.resnet50():requires_grad_(false)
  model.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(2048, 10))
  return training_step(model:train(), device, large_batch(), model.fc)
end

for _, base in ipairs { "w1", "w2", "w3", "w3_head" } do
  workloads[base .. "_bf16"] = workloads[base]
end

--- Training on 40,000 pictures as the lecture's script does, loader included; one call is an epoch.
function workloads.epoch(device)
  local T = mascon.transforms
  local ds = mascon.datasets.CIFAR10 { train = true, transform = T.Compose { T.ToTensor() } }
  local train = mascon.data.random_split(ds, { 40000, 10000 })
  local loader = mascon.data.DataLoader(train, { batch_size = 32, shuffle = true, num_workers = 2 })
  local model = SimpleCNN():to(device)
  local optimizer = optim.Adam(model:parameters(), { lr = 1e-3 })
  local loss_fn = nn.CrossEntropyLoss()
  local step = perhaps_compiled(function(X, y)
    local scores = model(X)
    local loss = loss_fn(scores, y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
    return loss, scores:argmax(2):eq(y):sum()
  end)
  return function()
    model:train()
    local total, correct = 0, 0
    for X, y in loader() do
      local loss, right = step(X:to(device), y:to(device))
      total, correct = total + loss:item(), correct + right:item() / #y
    end
  end
end

mascon.manual_seed(0)
mascon.set_num_threads(tonumber(threads))
mascon.set_float32_precision("tf32") -- of convolutions on a GPU, as PyTorch does by itself
local fn = workloads[name](place)
local times
if name == "epoch" then
  local begun = now()
  fn()
  times = { (now() - begun) * 1e3 }
else
  times = measure(fn, tonumber(length))
end
table.sort(times)
print(("ms %.6f %.6f %d"):format(times[1], times[math.ceil(#times / 2)], #times))

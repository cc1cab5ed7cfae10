--- Where scripts/bench has no CIFAR-10: a network learns 640 made-up pictures on the device and on the CPU, from
-- the same weights and batches. mascon accuracy.lua simple_cnn|custom_cnn DEVICE

local mascon = require "mascon"
local nn, T = mascon.nn, mascon.transforms
local name, device = ...

local function block(from, to)
  return nn.Conv2d(from, to, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.BatchNorm2d(to), nn.MaxPool2d(2)
end

local function network()
  mascon.manual_seed(0)
  if name == "simple_cnn" then
    return nn.Sequential(nn.Conv2d(3, 10, { kernel_size = 3, padding = 1 }), nn.ReLU(),
      nn.Conv2d(10, 10, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
      nn.Linear(2560, 10))
  end
  return nn.Sequential(nn.Sequential(block(3, 32)), nn.Sequential(block(32, 64)), nn.Flatten(), nn.Linear(4096, 10))
end

local function train(where)
  local model = network():to(where)
  local loader = mascon.data.DataLoader(mascon.datasets.FakeData { size = 640, transform = T.ToTensor() },
    { batch_size = 32, shuffle = true, device = where, resident = true })
  local optimizer = mascon.optim.Adam(model:parameters(), { lr = 1e-3 })
  local loss_fn, right, total = nn.CrossEntropyLoss(), 0, 0
  for _ = 1, 5 do
    right, total = 0, 0
    for X, y in loader() do
      local scores = model(X)
      local loss = loss_fn(scores, y)
      optimizer:zero_grad()
      loss:backward()
      optimizer:step()
      right, total = right + scores:argmax(2):eq(y):sum():item(), total + #y
    end
  end
  return right / total
end

print "MASCON_DATA is not set: these are made-up pictures (FakeData), so only the equality counts."
print(("accuracy in the fifth epoch: %.4f on %s, %.4f on the CPU"):format(train(device), device, train "cpu"))

--- What the feature cache saves: an epoch that trains the head of a frozen ResNet-50 against mascon.features and EPOCHS
-- epochs of the head on what it gives.
-- build/mascon scripts/benchmarks/features.lua [PICTURES] [EPOCHS] [ROUNDS]; prints seconds of both, in turn, and of
-- the cached ones how much was computing features.
local mascon = require "mascon"
local nn, data, T = mascon.nn, mascon.data, mascon.transforms
local now = require "mascon.ffi".now

local pictures, epochs, rounds = ...
pictures, epochs, rounds = tonumber(pictures) or 320, tonumber(epochs) or 10, tonumber(rounds) or 2

mascon.manual_seed(0)
local dataset = mascon.datasets.FakeData { size = pictures, image_size = { 3, 32, 32 }, num_classes = 10,
  transform = T.Compose { T.Resize { 224, 224 }, T.ToTensor(),
    T.Normalize({ 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }) } }
local loader = data.DataLoader(dataset, { batch_size = 32, shuffle = true, num_workers = 2 })
local model = mascon.models.resnet50()
model:freeze()
model.fc = nn.Identity()

local function new_head()
  local head = nn.Sequential(nn.Dropout(0.2), nn.Linear(2048, 10))
  return head, mascon.optim.Adam(head:parameters(), { lr = 1e-3 })
end

local function train(net, optimizer, source)
  local loss_fn = nn.CrossEntropyLoss()
  for X, y in source() do
    local loss = loss_fn(net(X), y)
    optimizer:zero_grad()
    loss:backward()
    optimizer:step()
  end
end

local function plain()
  local head, optimizer = new_head()
  train(nn.Sequential(model, head), optimizer, loader)
end

local function cached()
  local begun = now()
  local features = mascon.features(model, loader)
  local between = now()
  local head, optimizer = new_head()
  local source = data.DataLoader(features, { batch_size = 32, shuffle = true })
  for _ = 1, epochs do
    train(head, optimizer, source)
  end
  return between - begun
end

--- Seconds of fn and what it returns.
local function time(fn)
  local begun = now()
  local value = fn()
  return now() - begun, value
end

model(mascon.rand { 32, 3, 224, 224 }):release()
for _ = 1, rounds do
  local one = time(plain)
  local all, computing = time(cached)
  print(("one epoch %.2f s; features and %d epochs %.2f s (features %.2f, an epoch of the head %.4f): %.3f epochs")
    :format(one, epochs, all, computing, (all - computing) / epochs, all / one))
end

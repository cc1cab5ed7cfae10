-- Freezing: what is frozen is neither recorded, nor saved, nor differentiated; replacing a child.

local m = require "mascon"
local nn = m.nn

local BLOCKS, WIDTHS = 3, { 8, 16, 16 }

--- Three blocks conv, bn, relu of their own names, then a head.
local Net = nn.Module:extend "Net"

function Net:init()
  local channels = 3
  for i = 1, BLOCKS do
    self["block" .. i] = nn.Sequential { { "conv", nn.Conv2d(channels, WIDTHS[i], 3, { padding = 1 }) },
      { "bn", nn.BatchNorm2d(WIDTHS[i]) }, { "relu", nn.ReLU { inplace = true } } }
    channels = WIDTHS[i]
  end
  self.pool = nn.AdaptiveAvgPool2d(1)
  self.fc = nn.Linear(channels, 10)
end

function Net:forward(x)
  for i = 1, BLOCKS do
    x = self["block" .. i](x)
  end
  return self.fc(self.pool(x):flatten(2))
end

--- One training step; returns calls by op (forward, backward and update) and live graph nodes before
--- backward.
local function step(net, x, y)
  local nodes
  local optimizer = m.optim.SGD(net:parameters(), { lr = 0.1 })
  local rows = m.profile(function()
    local loss = nn.functional.cross_entropy(net(x), y)
    nodes = m.memory().nodes
    loss:backward()
    optimizer:step()
  end)
  local calls = {}
  for _, row in ipairs(rows) do
    calls[row.op] = row.calls
  end
  return calls, nodes
end

--- Ops of calls that are part of a backward pass, as "name=count", sorted.
local function backward(calls)
  local list = {}
  for name, n in pairs(calls) do
    if name:find "_bwd" then
      list[#list + 1] = ("%s=%d"):format(name, n)
    end
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function batch()
  return m.randn { 4, 3, 8, 8 }, m.randint(1, 10, { 4 })
end

local function values(net)
  local list = {}
  for name, t in pairs(net:state_dict()) do
    list[name] = t:clone()
  end
  return list
end

--- Names of the state that a step changed, sorted.
local function changed(net, before)
  local list = {}
  for name, t in pairs(net:state_dict()) do
    if not t:eq(before[name]):all():item() then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

describe("freezing", function()
  local net, x, y
  before_each(function()
    m.manual_seed(1)
    net = Net()
    x, y = batch()
  end)

  it("records and computes nothing for a frozen backbone", function()
    net:freeze()
    net.fc = nn.Linear(net.fc.in_features, 10)
    local before = values(net)
    local calls, nodes = step(net, x, y)
    assert.equal("cross_entropy_bwd=1 linear_bwd_weight=1", backward(calls))
    assert.is_true(nodes <= 3, nodes .. " nodes") -- linear, cross_entropy, and nothing below
    assert.same({ "fc.bias", "fc.weight" }, changed(net, before))
    for name, p in net:named_parameters() do
      assert.equal(name:find "^fc" ~= nil, p.grad ~= nil, name)
    end
  end)

  it("saves nothing for a frozen backbone", function()
    net:freeze()
    net.fc = nn.Linear(net.fc.in_features, 10)
    local wide = m.randn { 16, 3, 32, 32 }
    collectgarbage() collectgarbage()
    local live = m.memory().live
    local scores = net(wide)
    collectgarbage() collectgarbage()
    -- the head's input is all that is kept: 16 x 16 floats, against 16 x 16 x 32 x 32 of a block
    assert.is_true(m.memory().live - live < 16 * 16 * 32 * 32 * 4, "kept activations of frozen layers")
    assert.is_true(scores.requires_grad)
  end)

  it("lets statistics move under requires_grad_(false), as PyTorch does, and holds them under freeze", function()
    net:requires_grad_(false)
    net.fc = nn.Linear(net.fc.in_features, 10)
    local before = values(net)
    local calls = step(net, x, y)
    assert.equal("cross_entropy_bwd=1 linear_bwd_weight=1", backward(calls))
    local moved = { "fc.bias", "fc.weight" }
    for i = 1, BLOCKS do
      for _, name in ipairs { "num_batches_tracked", "running_mean", "running_var" } do
        moved[#moved + 1] = ("block%d.bn.%s"):format(i, name)
      end
    end
    table.sort(moved)
    assert.same(moved, changed(net, before))
    net:freeze()
    net.fc:requires_grad_(true)
    before = values(net)
    step(net, x, y)
    assert.same({ "fc.bias", "fc.weight" }, changed(net, before))
  end)

  it("stops the backward pass at the lowest trainable layer", function()
    net:freeze()
    net.block2:requires_grad_(true)
    local before = values(net)
    local calls = step(net, x, y)
    -- block3 and fc pass the gradient on and have no weight gradients; block2's convolution has only
    -- those; block1 has nothing
    assert.equal(1, calls.conv2d_bwd_data)
    assert.equal(1, calls.conv2d_bwd_weight)
    assert.equal(1, calls.linear_bwd_data)
    assert.is_nil(calls.linear_bwd_weight)
    assert.equal(2, calls.relu_bwd)
    local list = changed(net, before)
    assert.equal("block2.bn.bias", list[1])
    for _, name in ipairs(list) do
      assert.truthy(name:find "^block2%.", name)
    end
    assert.equal(7, #list) -- weights and biases, and the statistics, which are free again
  end)

  it("gives the same result as training the layer with everything else attached", function()
    local other = net:clone()
    net:requires_grad_(false)
    net.block3:requires_grad_(true)
    local function loss_of(n)
      return nn.functional.cross_entropy(n(x), y)
    end
    loss_of(net):backward()
    loss_of(other):backward()
    assert.is_true(m.allclose(net.block3.conv.weight.grad, other.block3.conv.weight.grad))
    assert.is_true(m.allclose(net.block3.bn.weight.grad, other.block3.bn.weight.grad))
    assert.is_nil(net.block2.conv.weight.grad)
    assert.is_nil(net.fc.weight.grad)
  end)

  it("computes a frozen network in train() as in eval()", function()
    local expected = m.no_grad(function() return net:eval()(x) end)
    net:freeze():train()
    assert.is_true(net(x):eq(expected):all():item())
    assert.is_false(net(x).requires_grad)
    net:requires_grad_(true)
    assert.is_false(net(x):eq(expected):all():item())
  end)

  it("is kept by clone and by train and eval", function()
    local copy = net:freeze():clone()
    copy:eval()
    copy:train()
    local before = values(copy)
    copy(x)
    assert.same({}, changed(copy, before))
    assert.equal(0, copy:num_parameters { trainable = true })
  end)

  it("tells an optimizer that there is nothing to train", function()
    net:freeze()
    assert.error_matches(function() m.optim.Adam(net:parameters()) end,
      "Adam: 0 parameters given; all %d+ parameters of the model are frozen")
  end)
end)

describe("replacing a child", function()
  it("keeps its place and its name", function()
    local net = Net()
    local function names()
      local list = {}
      for name in net:named_children() do
        list[#list + 1] = name
      end
      return list
    end
    local before = names()
    net.block2 = nn.Sequential { { "conv", nn.Conv2d(8, 16, 1) } }
    net.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(net.fc.in_features, 4))
    assert.same(before, names())
    local keys = {}
    for name in net:named_parameters() do
      keys[#keys + 1] = name
    end
    assert.same({ "block1.conv.weight", "block1.conv.bias", "block1.bn.weight", "block1.bn.bias",
      "block2.conv.weight", "block2.conv.bias", "block3.conv.weight", "block3.conv.bias",
      "block3.bn.weight", "block3.bn.bias", "fc.1.weight", "fc.1.bias" }, keys)
    assert.same({ 2, 4 }, net(m.randn { 2, 3, 8, 8 }).shape)
    net.block1[2] = nn.Identity()
    assert.equal("Identity", net.block1.bn.class_name)
    net.block1.relu = nn.Tanh()
    assert.equal("Tanh", net.block1[3].class_name)
  end)
end)

--- Fused children of a Sequential against the same children one by one: values, gradients, errors, hooks.

local fusion = require "mascon.nn.fusion"
local layer = require "mascon.ffi"
local mascon = require "mascon"
local resnet = require "mascon.models.resnet"

local networks = require "spec.support.networks"
local ops_of = require "spec.support.ops"
local nn = mascon.nn

--- Runs fn with fusion switched on or off.
local function with_fusion(on, fn, ...)
  local before = fusion.enable(on)
  local results = { pcall(fn, ...) }
  fusion.enable(before)
  assert(results[1], results[2])
  return unpack(results, 2)
end

--- net(x) with nothing recorded.
local function infer(net, x)
  return mascon.no_grad(function() return net(x) end)
end

local function same_bits(a, b)
  return a:eq(b):all():item()
end

local function largest_difference(a, b)
  return (a - b):abs():max():item() / math.max(b:abs():max():item(), 1e-30)
end

--- Gives every batch norm statistics, weights and shifts that are not 1 and 0.
local function stir(net)
  for _, m in ipairs(net:modules()) do
    if m.class_name == "BatchNorm2d" then
      m.running_mean:normal_(0, 0.2)
      m.running_var:uniform_(0.5, 2)
      mascon.no_grad(function()
        m.weight:uniform_(0.5, 1.5)
        m.bias:normal_(0, 0.3)
      end)
    end
  end
  return net
end

local convolutions = networks.convolutions_and {
  { "7x7", 3, 40, 40, function() return nn.Conv2d(3, 16, 7, { stride = 2, padding = 3 }) end },
}

describe("fused convolution and relu", function()
  for _, case in ipairs(convolutions) do
    local name, c, h, w, make = unpack(case)
    for _, batch in ipairs { 1, 5 } do
      it(("equals the two, %s, batch %d"):format(name, batch), function()
        mascon.manual_seed(1)
        local net = nn.Sequential(make(), nn.ReLU { inplace = batch == 5 }, nn.Conv2d(make().out_channels, 2, 1))
        local x = mascon.randn { batch, c, h, w }:requires_grad_(true)
        local function pass()
          net:zero_grad()
          x.grad = nil
          local y = net(x)
          y:sum():backward()
          local list = { y:detach(), x.grad:clone() }
          for _, p in ipairs(net:parameters()) do
            list[#list + 1] = p.grad:clone()
          end
          return list
        end
        local fused, plain = with_fusion(true, pass), with_fusion(false, pass)
        for i = 1, #plain do
          assert.is_true(largest_difference(fused[i], plain[i]) <= 2e-6)
        end
        local ops = with_fusion(true, ops_of, pass)
        assert.equal(1, ops.conv2d_relu)
        assert.is_nil(ops.relu)
        assert.is_nil(with_fusion(false, ops_of, pass).conv2d_relu)
      end)
    end
  end

  it("gives the same bits where the kernels are ours", function()
    for k = 1, 4 do
      local _, c, h, w, make = unpack(convolutions[k])
      local net = nn.Sequential(make(), nn.ReLU())
      local x = mascon.randn { 3, c, h, w }
      assert.is_true(same_bits(with_fusion(true, net, x), with_fusion(false, net, x)))
    end
  end)

  it("keeps what is not a number", function()
    for _, case in ipairs(convolutions) do
      local _, c, h, w, make = unpack(case)
      local net = nn.Sequential(make(), nn.ReLU())
      local x = mascon.full({ 1, c, h, w }, 0 / 0)
      assert.is_true(with_fusion(true, net, x):isnan():all():item())
    end
  end)

  it("takes a masked gradient where the caller says so", function()
    local conv = nn.Conv2d(3, 4, 3)
    local x = mascon.randn { 2, 3, 6, 6 }
    local call = fusion.conv_call("conv2d_relu", conv, "masked spec", function() return { masked = true } end)
    local y = call(x, conv.weight, conv.bias)
    y:backward(mascon.ones(y.shape))
    local masked = conv.bias.grad:clone()
    assert.same({ 32, 32, 32, 32 }, masked:totable())
  end)
end)

describe("folded batch norm", function()
  for _, case in ipairs(convolutions) do
    local name, c, h, w, make = unpack(case)
    for _, batch in ipairs { 1, 5 } do
      it(("equals the layers, %s, batch %d"):format(name, batch), function()
        mascon.manual_seed(2)
        local conv = make()
        local net = stir(nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(),
          nn.Conv2d(conv.out_channels, 6, 1), nn.BatchNorm2d(6))):eval()
        local x = mascon.randn { batch, c, h, w }
        local plain = with_fusion(false, infer, net, x)
        for _ = 1, 3 do -- packed for the call, then kept
          local fused = with_fusion(true, infer, net, x)
          assert.is_true(largest_difference(fused, plain) <= 5e-6)
        end
        local ops = with_fusion(true, ops_of, function() infer(net, x) end)
        assert.equal(2, ops.conv2d_norm)
        assert.is_nil(ops.batch_norm)
      end)
    end
  end

  it("follows every tensor that was folded in", function()
    local conv, norm = nn.Conv2d(20, 24, 3), nn.BatchNorm2d(24)
    local net = stir(nn.Sequential(conv, norm)):eval()
    local x = mascon.randn { 2, 20, 8, 8 }
    for _, t in ipairs { conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.weight,
      norm.bias } do
      mascon.no_grad(function()
        for _ = 1, 3 do net(x) end
        t:mul_(1.5)
        t:add_(0.25)
      end)
      local fused = with_fusion(true, infer, net, x)
      local plain = with_fusion(false, infer, net, x)
      assert.is_true(largest_difference(fused, plain) <= 5e-6)
    end
    norm.eps = 0.5
    assert.is_true(largest_difference(with_fusion(true, infer, net, x),
      with_fusion(false, infer, net, x)) <= 5e-6)
  end)

  it("leaves alone what is trained or recorded", function()
    local net = stir(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()))
    local x = mascon.randn { 2, 3, 8, 8 }
    assert.equal(1, ops_of(function() net(x) end).batch_norm)
    net:eval()
    assert.equal(1, ops_of(function() net(x) end).batch_norm)
    local y = net(x)
    y:sum():backward()
    assert.is_not_nil(net[1].weight.grad)
    net:requires_grad_(false)
    assert.is_nil(ops_of(function() net(x) end).batch_norm)
    assert.equal(1, ops_of(function() net(x:clone():requires_grad_(true)) end).batch_norm)
    net:train():freeze()
    assert.is_nil(ops_of(function() net(x) end).batch_norm)
  end)

  it("has the same bits for any number of threads", function()
    local net = stir(resnet.ResNet(resnet.Bottleneck, { 1, 1, 1, 1 }, { num_classes = 7 })):eval()
    local before = mascon.get_num_threads()
    for _, batch in ipairs { 1, 5 } do
      local x, first = mascon.randn { batch, 3, 64, 64 }, nil
      for _, threads in ipairs { 1, 2, 4 } do
        mascon.set_num_threads(threads)
        local y = infer(net, x)
        first = first or y
        assert.is_true(same_bits(first, y))
      end
    end
    mascon.set_num_threads(before)
  end)
end)

describe("residual blocks", function()
  local function network(block)
    mascon.manual_seed(3)
    return stir(resnet.ResNet(block, { 2, 2, 1, 1 }, { num_classes = 7 })):eval()
  end

  for name, block in pairs { BasicBlock = resnet.BasicBlock, Bottleneck = resnet.Bottleneck } do
    it(name .. " equals its layers", function()
      local net = network(block)
      local x = mascon.randn { 2, 3, 64, 64 }
      local fused = with_fusion(true, infer, net, x)
      assert.is_true(largest_difference(fused, with_fusion(false, infer, net, x)) <= 1e-5)
      local ops = ops_of(function() infer(net, x) end)
      assert.is_nil(ops.batch_norm)
      assert.is_nil(ops.add)
      assert.is_nil(ops.relu)
    end)
  end

  it("hands its tensors to hooks, which may keep them", function()
    local net = network(resnet.Bottleneck)
    local kept = {}
    net.layer1[1].conv2:register_forward_hook(function(_, inputs, y)
      kept[#kept + 1] = inputs[1]
      kept[#kept + 1] = y
    end)
    net.layer2:register_forward_hook(function(_, inputs, y)
      kept[#kept + 1] = inputs[1]
      kept[#kept + 1] = y
    end)
    infer(net, mascon.randn { 1, 3, 32, 32 })
    assert.equal(4, #kept)
    for _, t in ipairs(kept) do
      assert.equal("number", type(t:sum():item()))
    end
  end)

  it("releases what is dead at once", function()
    local net = network(resnet.Bottleneck).layer1
    local x = mascon.randn { 2, 64, 64, 64 }
    local largest = 2 * 256 * 64 * 64 * 4 -- bytes of a block's result
    infer(net, x)
    collectgarbage()
    collectgarbage()
    collectgarbage "stop"
    infer(net, x)
    layer.C.mascon_reset_peak_memory(0)
    local before = mascon.memory().live
    infer(net, x)
    local peak = mascon.memory().peak - before
    collectgarbage "restart"
    -- input of the block, result, and between them a quarter of that twice and room for the kernels
    assert.is_true(peak < 3.6 * largest, ("%.1f"):format(peak / largest))
  end)
end)

describe("what a script sees", function()
  local function network()
    return nn.Sequential { { "conv", nn.Conv2d(3, 10, 3, { padding = 1 }) }, { "relu", nn.ReLU() } }
  end

  it("runs hooks of fused children", function()
    local net, seen = network(), 0
    local x = mascon.randn { 1, 3, 16, 16 }
    net(x)
    local handle = net.conv:register_forward_hook(function() seen = seen + 1 end)
    net(x)
    assert.equal(1, seen)
    handle:remove()
    assert.equal(1, ops_of(function() net(x) end).conv2d_relu)
  end)

  it("runs a forward of the object's own, a derived class and a replaced child", function()
    local net, x = network(), mascon.randn { 1, 3, 16, 16 }
    net(x)
    local called = false
    net.relu.forward = function(_, t)
      called = true
      return t
    end
    net(x)
    assert.is_true(called)
    net.relu.forward = nil
    local Mine = nn.ReLU:extend "Mine"
    net.relu = Mine()
    assert.equal(1, ops_of(function() net(x) end).relu)
    net[2] = nn.Sigmoid()
    local ops = ops_of(function() net(x) end)
    assert.equal(1, ops.sigmoid)
    assert.is_nil(ops.conv2d_relu)
    net:append(nn.ReLU())
    assert.equal(1, ops_of(function() net(x) end).relu)
  end)

  it("follows the options of the layers", function()
    local net, x = network(), mascon.randn { 1, 3, 16, 16 }
    assert.same({ 1, 10, 16, 16 }, net(x).shape)
    net.conv.stride = { 2, 2 }
    assert.same({ 1, 10, 8, 8 }, net(x).shape)
  end)

  it("raises the errors of the layers, with the path of the one that failed", function()
    local Net = nn.Module:extend "Net"
    function Net:init()
      self.block = network()
    end
    function Net:forward(x)
      return self.block(x)
    end
    local net = Net()
    for _, bad in ipairs { mascon.randn { 1, 4, 16, 16 }, mascon.randn { 3, 16, 16 },
      mascon.zeros({ 1, 3, 16, 16 }, { dtype = "float64" }), 5 } do
      local texts = {}
      for _, on in ipairs { true, false } do
        local before = fusion.enable(on)
        local good, err = pcall(function() return net(bad) end)
        fusion.enable(before)
        assert.is_false(good)
        texts[#texts + 1] = err
      end
      assert.equal(texts[2], texts[1])
      assert.truthy(texts[1]:find("in Net.block.conv", 1, true))
    end
  end)

  it("checks its plan in well under a microsecond", function()
    local net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.ReLU(),
      nn.MaxPool2d(2))
    local books = getmetatable(net).books
    local best = math.huge
    for _ = 1, 20 do
      local begun = layer.now()
      for _ = 1, 2000 do
        fusion.steps(net, books)
      end
      best = math.min(best, (layer.now() - begun) / 2000)
    end
    assert.is_true(best < 1e-6, ("%.0f ns"):format(best * 1e9))
  end)
end)

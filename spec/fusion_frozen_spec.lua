--- Frozen layers in training mode: convolution, batch norm by the batch's statistics, addition and relu in
--- one call, with the bits of the layers one by one.

local fusion = require "mascon.nn.fusion"
local mascon = require "mascon"
local resnet = require "mascon.models.resnet"

local networks = require "spec.support.networks"
local ops_of = require "spec.support.ops"
local nn = mascon.nn

-- Where bfloat16 is computed by way of float32, the layers run one by one: they round in between.
local native = mascon.config().faster_products == "bfloat16"

local function same_bits(a, b)
  return a.dtype == b.dtype and a:eq(b):all():item()
end

--- Weights and shifts that are not 1 and 0, and no gradients.
local function prepare(net)
  for _, m in ipairs(net:modules()) do
    if m.class_name == "BatchNorm2d" and m.weight then
      m.weight:uniform_(0.5, 1.5)
      m.bias:normal_(0, 0.3)
    end
  end
  return net
end

--- net(x), by autocast where that is said.
local function pass(net, x, autocast)
  if autocast then
    return mascon.autocast("bfloat16", function() return net(x) end)
  end
  return net(x)
end

--- What a script can see of two passes of the network that make() gives.
local function passes(make, x, fused, autocast)
  mascon.manual_seed(5)
  local net = mascon.no_grad(prepare, make()):train():requires_grad_(false)
  local before, seen = fusion.enable(fused), {}
  local good, message = pcall(function()
    for i = 1, 2 do
      seen[i] = pass(net, x, autocast)
    end
  end)
  fusion.enable(before)
  assert(good, message)
  for _, b in ipairs(net:buffers()) do
    seen[#seen + 1] = b
  end
  return seen, net
end

--- Compares fused and plain passes; returns the ops of a fused one.
local function check(make, x, autocast)
  local want = passes(make, x, false, autocast)
  local got, net = passes(make, x, true, autocast)
  assert.equal(#want, #got)
  for i = 1, #want do
    assert.is_true(same_bits(got[i], want[i]), ("result %d differs"):format(i))
  end
  return ops_of(function() pass(net, x, autocast) end)
end

local convolutions = networks.convolutions_and {
  { "many channels of few pixels", 64, 7, 7, function() return nn.Conv2d(64, 512, 1) end },
  { "7x7", 3, 80, 80, function() return nn.Conv2d(3, 64, 7, { stride = 2, padding = 3 }) end },
  { "one channel", 4, 6, 6, function() return nn.Conv2d(4, 1, 3) end },
}

describe("frozen layers in training", function()
  for _, case in ipairs(convolutions) do
    local name, c, h, w, make = unpack(case)
    for _, batch in ipairs { 1, 5 } do
      it(("have the layers' bits, %s, batch %d"):format(name, batch), function()
        local function network()
          local conv = make()
          return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(),
            nn.Conv2d(conv.out_channels, 6, 1), nn.BatchNorm2d(6))
        end
        mascon.manual_seed(1)
        local x = mascon.randn { batch, c, h, w }
        local ops = check(network, x)
        assert.equal(2, ops.conv2d_norm)
        assert.is_nil(ops.batch_norm)
        assert.is_nil(ops.relu)
        check(network, x, true)
      end)
    end
  end

  it("have them in residual networks", function()
    for _, block in ipairs { resnet.BasicBlock, resnet.Bottleneck } do
      local function network()
        return resnet.ResNet(block, { 2, 1, 2, 1 }, { num_classes = 5 })
      end
      mascon.manual_seed(2)
      local x = mascon.randn { 3, 3, 72, 56 }
      for _, autocast in ipairs { false, true } do
        local ops = check(network, x, autocast)
        if not autocast or native then
          assert.is_nil(ops.batch_norm)
          assert.is_nil(ops.relu)
        end
      end
    end
  end)

  it("have them in float64 and with other options of the norm", function()
    mascon.manual_seed(3)
    local x = mascon.randn { 3, 4, 9, 9 }
    check(function()
      return nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU()):to "float64"
    end, x:to "float64")
    for _, o in ipairs { { momentum = false }, { momentum = 1 }, { track_running_stats = false },
      { affine = false }, { eps = 0.5, momentum = 0 } } do
      check(function()
        return nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8, o), nn.ReLU())
      end, x)
    end
  end)

  it("have the same bits for any number of threads", function()
    local function network()
      return resnet.ResNet(resnet.Bottleneck, { 1, 1, 1, 1 }, { num_classes = 5 })
    end
    local before, first = mascon.get_num_threads(), nil
    local x = mascon.randn { 3, 3, 64, 64 }
    for _, threads in ipairs { 1, 2, 4, 8 } do
      mascon.set_num_threads(threads)
      local seen = passes(network, x, true)
      first = first or seen
      for i = 1, #seen do
        assert.is_true(same_bits(seen[i], first[i]))
      end
    end
    mascon.set_num_threads(before)
  end)

  it("keep what is not a number", function()
    local net = nn.Sequential(nn.Conv2d(16, 32, 1), nn.BatchNorm2d(32), nn.ReLU()):requires_grad_(false)
    local x = mascon.randn { 2, 16, 8, 8 }
    x:select(2, 3):fill_(0 / 0)
    assert.is_true(net(x):isnan():all():item())
    assert.is_true(net[2].running_mean:isnan():all():item())
  end)

  it("are recorded as ever where a gradient is wanted", function()
    local function network()
      return nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    end
    local x = mascon.randn { 2, 4, 8, 8 }
    local net = network()
    assert.equal(1, ops_of(function() net(x) end).batch_norm)
    net:requires_grad_(false)
    assert.is_nil(ops_of(function() net(x) end).batch_norm)
    net[2].bias:requires_grad_(true) -- of one vector alone
    local moved = net[2].running_mean:clone()
    local ops = ops_of(function() net(x):sum():backward() end)
    assert.equal(1, ops.batch_norm)
    assert.is_not_nil(net[2].bias.grad)
    assert.is_false(same_bits(moved, net[2].running_mean))
    net:requires_grad_(false)
    assert.equal(1, ops_of(function() net(x:clone():requires_grad_(true)) end).batch_norm)
    assert.is_nil(ops_of(function() mascon.no_grad(function() net(x) end) end).batch_norm)
  end)

  it("count their batches and mark what they write", function()
    local net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)):requires_grad_(false)
    local mean = net[2].running_mean
    local leaf = mascon.ones({ 8 }, { requires_grad = true })
    local product = (leaf * mean):sum()
    net(mascon.randn { 2, 4, 8, 8 })
    assert.equal(1, net[2].num_batches_tracked:item())
    assert.is_false(pcall(product.backward, product))
    net:freeze()
    mean = mean:clone()
    net(mascon.randn { 2, 4, 8, 8 })
    assert.equal(1, net[2].num_batches_tracked:item())
    assert.is_true(same_bits(mean, net[2].running_mean))
  end)

  it("run hooks and children of other classes", function()
    local net = resnet.ResNet(resnet.Bottleneck, { 1, 1, 1, 1 }):requires_grad_(false)
    local x, seen = mascon.randn { 2, 3, 32, 32 }, {}
    local block = net.layer2[1]
    for _, name in ipairs { "conv1", "bn2", "relu", "downsample" } do
      block[name]:register_forward_hook(function(_, _, y) seen[#seen + 1] = name .. y:dim() end)
    end
    net(x)
    assert.same({ "conv14", "relu4", "bn24", "relu4", "downsample4", "relu4" }, seen)
    net.layer1[1].bn3 = nn.GroupNorm(4, 256)
    assert.equal(1, ops_of(function() net(x) end).group_norm)
  end)

  it("raise the errors of the layers, and have then written nothing", function()
    local net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(6), nn.ReLU()):requires_grad_(false)
    local good, message = pcall(net, mascon.randn { 2, 4, 8, 8 })
    assert.is_false(good)
    assert.truthy(message:find("batch_norm: input has 8 channels, the layer takes 6", 1, true), message)
    net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)):requires_grad_(false)
    good, message = pcall(net, mascon.randn { 1, 4, 3, 3 })
    assert.is_false(good)
    assert.truthy(message:find("batch_norm: 1 value per channel in training mode; needs 2 or more; input "
      .. "{1, 8, 1, 1}", 1, true), message)
    assert.equal(0, net[2].num_batches_tracked:item())
    assert.is_true(same_bits(net[2].running_mean, mascon.zeros { 8 }))
  end)

  it("need the memory of one result for each", function()
    local layer = require "mascon.ffi"
    local net = nn.Sequential(nn.Conv2d(16, 64, 1), nn.BatchNorm2d(64), nn.ReLU()):requires_grad_(false)
    local x, bytes = mascon.randn { 8, 16, 64, 64 }, 8 * 64 * 64 * 64 * 4
    local y = net(x)
    collectgarbage()
    collectgarbage()
    layer.C.mascon_reset_peak_memory(0)
    local before = mascon.memory().live
    local z = net(x)
    local above = mascon.memory().peak - before
    assert.is_true(above < 1.5 * bytes, ("%.2f"):format(above / bytes))
    assert.same(y.shape, z.shape)
  end)
end)

-- net:summary and mascon.profile: overviews of a network and of a run.
local mascon = require "mascon"
local nn = mascon.nn
local networks = require "spec.support.networks"

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

describe("summary", function()
  it("lists the modules with shapes, parameters and memory", function()
    local net = networks.SimpleCNN(3, 10, 10)
    local summary = net:summary { 1, 3, 32, 32 }
    assert.equal(9, #summary.rows)
    local row = summary.rows[4]
    assert.same({ "conv_block_1.2", "Conv2d", "{1, 10, 32, 32}", 910, 910, 1 },
      { row.name, row.kind, row.output_shape, row.parameters, row.trainable, row.calls })
    assert.equal(net:num_parameters(), summary.parameters)
    assert.equal(4 * summary.parameters, summary.memory.parameters)
    local layers, flattened = 4 * 10 * 32 * 32 + 10 * 16 * 16 + 10, 10 * 16 * 16
    -- flatten shares its input's memory, or copies it where that lies channels last
    local activations = summary.memory.activations / 4
    assert.is_true(activations == layers or activations == layers + flattened)
    local text = tostring(summary)
    assert.truthy(text:find("conv_block_1.0  Conv2d      {1, 10, 32, 32}         280  yes\n", 1, true))
    assert.truthy(text:find("parameters: 26,800 (26,800 trainable, 0 frozen)", 1, true))
    assert.truthy(text:find "memory: parameters 107.2 kB, activations 1[78]4.[14] kB")
  end)

  it("leaves modes, statistics, hooks and random numbers alone", function()
    local net = nn.Sequential(nn.Linear(4, 8), nn.Dropout { p = 0.5 }, nn.Linear(8, 2))
    net[2]:eval()
    net[1]:requires_grad_(false)
    mascon.manual_seed(7)
    local expected = mascon.rand({ 3 }):totable()
    mascon.manual_seed(7)
    local summary = net:summary { 3, 4 }
    assert.same(expected, mascon.rand({ 3 }):totable())
    assert.is_true(net.training)
    assert.is_false(net[2].training)
    assert.is_true(net[3].training)
    assert.equal(18, summary.trainable)
    assert.truthy(tostring(summary):find("(18 trainable, 40 frozen)", 1, true))
    local calls = 0
    local handle = net:register_forward_hook(function() calls = calls + 1 end)
    net:summary(mascon.zeros { 3, 4 })
    net(mascon.zeros { 3, 4 })
    assert.equal(2, calls)
    handle.remove()
  end)

  it("counts what is shared once and shows what is called often or never", function()
    local Net = nn.Module:extend "Net"
    function Net:init()
      self.scale = nn.Parameter(mascon.ones { 4 })
      self.once = nn.Linear(4, 4)
      self.unused = nn.Linear(4, 4)
      self.unused.weight = self.once.weight
      self.tail = nn.ModuleList { nn.ReLU() }
    end
    function Net:forward(x, y)
      x = self.once(self.once(x)) * self.scale
      return self.tail[1](x), y
    end
    local net = Net()
    local summary = net:summary { { 2, 4 }, { 1, 5 } }
    assert.equal(net:num_parameters(), summary.parameters)
    local text = tostring(summary)
    assert.truthy(text:find "^[^\n]+\n%-+\n%(itself%)  Net +{2, 4} {1, 5} +4  yes\n", text)
    assert.truthy(text:find "\nonce +Linear +{2, 4} x2 +20  yes\n", text)
    assert.truthy(text:find "\nunused +Linear +not used +4  yes\n", text)
    assert.truthy(text:find("Net: input {2, 4}, {1, 5}, output {2, 4} {1, 5}", 1, true), text)
  end)

  it("undoes everything where forward fails", function()
    local net = networks.SimpleCNN(3, 10, 10)
    assert.truthy(message(net.summary, net, { 1, 3, 31, 31 }):find("in SimpleCNN.classifier.1", 1, true))
    assert.is_true(net.training)
    assert.is_true(net.conv_block_1.training)
    assert.truthy(message(net.summary, net, 5):find("summary: argument 1 is 5; expected the sizes", 1, true))
    assert.truthy(message(net.summary, net):find("summary: argument 1 is nil", 1, true))
    assert.truthy(message(net.summary, net, { 1, -3 }):find("size of dimension 2 is -3", 1, true))
  end)

  it("takes inputs of another dtype", function()
    local Net = nn.Module:extend "Net"
    function Net:init()
      self.linear = nn.Linear(3, 2)
    end
    function Net:forward(x)
      return self.linear(x:float())
    end
    assert.equal("{5, 2}", Net():summary { 5, 3, dtype = "int64" }.output_shape)
    assert.equal("{5, 2}", Net():summary({ 5, 3 }, { dtype = "int64" }).output_shape)
  end)
end)

describe("profile", function()
  it("accounts for all of the time", function()
    local net = networks.SimpleCNN(3, 10, 10)
    local x, y = networks.batch(8)
    local profile = mascon.profile(function()
      networks.step(net, mascon.optim.SGD(net:parameters(), { lr = 0.1 }), nn.CrossEntropyLoss(), x, y)
    end)
    local sum = 0
    for _, row in ipairs(profile) do
      sum = sum + row.ms
    end
    assert.is_true(sum >= 0.95 * profile.wall_ms and sum <= 1.05 * profile.wall_ms)
    assert.equal("lua", profile[#profile].op)
    assert.truthy(tostring(profile):find "\nlua +0 ")
    for i = 2, #profile - 1 do
      assert.is_true(profile[i].ms <= profile[i - 1].ms)
    end
  end)
end)

--- Bad input through the Lua API: the sentence, the hint, the user's line; nothing leaks.

local m = require "mascon"
local nn, F = m.nn, m.nn.functional

local function batch(n, c, h, w)
  return m.zeros { n, c, h, w }
end

local net -- a module whose inner layer is fed the wrong channels
do
  local Block = nn.Module:extend "Block"
  function Block:init()
    self.conv1 = nn.Conv2d(64, 64, 3, { padding = 1 })
  end
  function Block:forward(x)
    return self.conv1(x)
  end
  local ResNet = nn.Module:extend "ResNet"
  function ResNet:init()
    self.layer1 = nn.Sequential(Block())
  end
  function ResNet:forward(x)
    return self.layer1(x)
  end
  net = ResNet()
end

local leaf = m.ones({ 3 }, { requires_grad = true })

-- {row of the table of messages, function, text of the first line, text of a later line}
local without_cuda = "" -- why there is no CUDA device here
for _, d in ipairs(m.devices()) do
  without_cuda = d.why or without_cuda
end

local rows = {
  { "D1", function() m.zeros { 3, -1 } end,
    "zeros: size of dimension 2 is -1; sizes must be 0 or more" },
  { "D2", function() m.zeros { 2 ^ 40, 2 ^ 40 } end,
    "zeros: shape {1099511627776, 1099511627776} has more than 2^62 elements" },
  { "D3", function() m.zeros { 2 ^ 43 } end,
    "GB needed (float32 {8796093022208})" },
  { "D4", function() m.zeros { 2.5, 3 } end,
    "zeros: size of dimension 1 is 2.5; expected a whole number" },
  { "D5", function() m.zeros { 0 / 0 } end, "zeros: size of dimension 1 is nan; expected a whole number" },
  { "D5", function() m.zeros { math.huge } end,
    "zeros: size of dimension 1 is inf; expected a whole number" },
  { "D6", function() m.zeros("3") end,
    "zeros: argument 1 (shape) is a string; expected a table of whole numbers such as {2, 3}" },
  { "D6", function() m.zeros(nil) end,
    "zeros: argument 1 (shape) is nil; expected a table of whole numbers such as {2, 3}" },
  { "D7", function() m.zeros { 2, nil, 3 } end, "zeros: shape has a hole at position 2" },
  { "D8", function() m.zeros { 1, 1, 1, 1, 1, 1, 1, 1, 1 } end,
    "zeros: 9 dimensions; at most 8 are supported" },
  { "D9", function() m.zeros({ 2 }, { dtyp = "float32" }) end, 'zeros: unknown option "dtyp"',
    'hint: did you mean "dtype"? options: device, dtype, requires_grad' },
  { "D10", function() m.zeros({ 2 }, { dtype = "float31" }) end, 'zeros: unknown dtype "float31"',
    "float64 float32 bfloat16 float16 int64 int32 uint8 bool" },
  { "D12", function() m.zeros({ 2 }, { device = "cuda" }) end,
    without_cuda:find("not found; searched", 1, true) and "zeros: this build has no CUDA backend"
      or "zeros: CUDA cannot be used here", without_cuda, skip = m.cuda.is_available() },
  { "D13", function() m.tensor { { 1, 2 }, { 3 } } end,
    "tensor: ragged table; row 1 has 2 values, row 2 has 1" },
  { "D14", function() m.tensor { 1, "x" } end, "tensor: element 2 is a string; expected a number" },
  { "D15", function() local t = {} t[1] = t m.tensor(t) end, "tensor: table contains itself" },
  { "D16", function() return m.zeros { 2, 3 } + m.zeros { 4, 3 } end,
    "add: shapes {2, 3} and {4, 3} do not broadcast; dimension 1 is 2 against 4" },
  { "D17", function() net(batch(128, 3, 32, 32)) end,
    "conv2d: input has 3 channels, the layer takes 64", "in ResNet.layer1.0.conv1" },
  { "D19", function() F.conv2d(m.zeros { 3, 32, 32 }, m.zeros { 4, 3, 3, 3 }) end,
    "conv2d: input has 3 dimensions {3, 32, 32}; expected 4 {batch, channels, height, width}",
    "hint: x:unsqueeze(1)" },
  { "D20", function() F.conv2d(batch(32, 32, 32, 3), m.zeros { 4, 3, 3, 3 }) end,
    "conv2d: input has 32 channels, the layer takes 3",
    "the last dimension is 3: is the data {batch, height, width, channels}? x:permute(1, 4, 2, 3)" },
  { "D21", function() F.conv2d(batch(1, 1, 5, 5), m.zeros { 1, 1, 7, 7 }) end,
    "conv2d: kernel 7x7 is larger than the padded input 5x5 (input 5x5, padding 0)" },
  { "D22", function() F.conv2d(batch(1, 1, 5, 5), m.zeros { 1, 1, 3, 3 }, { stride = 0 }) end,
    "conv2d: stride is 0; must be 1 or more" },
  { "D23", function() F.conv2d(batch(1, 64, 5, 5), m.zeros { 64, 21, 3, 3 }, { groups = 3 }) end,
    "conv2d: 64 input channels are not divisible by groups = 3" },
  { "D24", function() nn.Linear(3, 4)(m.zeros { 2, 5 }) end,
    "linear: input has 5 features, the layer takes 3; input {2, 5}" },
  { "D25", function()
    local y = m.ones({ 128 }, { dtype = "int64" })
    y[17] = 0
    F.cross_entropy(m.zeros { 128, 10 }, y)
  end, "cross_entropy: target 17 of 128 is 0; classes run 1..10", "labels counted from 0? add 1" },
  { "D26", function()
    local y = m.ones({ 128 }, { dtype = "int64" })
    y[3] = 11
    F.cross_entropy(m.zeros { 128, 10 }, y)
  end, "cross_entropy: target 3 of 128 is 11; classes run 1..10" },
  { "D27", function() F.cross_entropy(m.zeros { 128, 10 }, m.zeros { 128 }) end,
    "cross_entropy: targets are float32 {128}; expected int64 class numbers {128} or float "
    .. "probabilities {128, 10}" },
  { "D28", function() F.cross_entropy(m.zeros { 128, 10 }, m.ones({ 64 }, { dtype = "int64" })) end,
    "cross_entropy: 128 rows of scores but 64 targets" },
  { "D29", function() F.cross_entropy(m.zeros { 0, 10 }, m.ones({ 0 }, { dtype = "int64" })) end,
    "cross_entropy: mean over 0 targets is undefined", 'reduction = "sum"' },
  { "D30", function() m.zeros { 20 }:view { 7, -1 } end, "view: 20 elements do not divide by 7" },
  { "D31", function() m.zeros { 20 }:view { -1, -1 } end, "view: only one size may be -1" },
  { "D32", function() m.zeros { 2, 3 }:t():view(6) end,
    "view: tensor {3, 2} is not contiguous (strides 1, 3)", "x:reshape or x:contiguous():view" },
  { "D33", function() return m.zeros { 4 }[5] end,
    "index: 5 is out of range for dimension 1 of size 4 (1..4 or -4..-1)" },
  { "D33", function() return m.zeros { 4 }[0] end, "index: 0 is not an index; the first element is 1" },
  { "D34", function() m.zeros { 2, 3 }:sum(5) end, "sum: dimension 5 of a 2-dimensional tensor" },
  { "D35", function() m.zeros { 3, 4 }:item() end, "item: tensor has 12 elements {3, 4}; expected 1" },
  { "D36", function() m.zeros { 2, 3 }:matmul(m.zeros { 2, 3 }) end,
    "matmul: inner sizes differ, 3 against 2 ({2, 3} x {2, 3})" },
  { "D38", function() m.zeros { 2, 3 }:matmul(m.zeros({ 3, 2 }, { dtype = "int64" })) end,
    "matmul: dtypes float32 and int64", 'b:to("float32")' },
  { "D39", function() (m.ones({ 32 }, { requires_grad = true }) * 2):backward() end,
    "backward: needs a scalar, loss is {32}", "loss:mean():backward()" },
  { "D40", function()
    local loss = (leaf * leaf):sum()
    loss:backward()
    loss:backward()
  end, "backward: this graph was already freed by an earlier backward", "retain_graph = true" },
  { "D41", function() m.ones { 3 }:sum():backward() end,
    "backward: nothing to differentiate; no input has requires_grad" },
  { "D42", function()
    local y = (leaf * 2):relu()
    local loss = (y * 3):sum()
    m.no_grad(function() y:add_(1) end)
    loss:backward()
  end, "backward: output of relu was changed by add_ after it was saved",
    "mascon.detect_anomaly(true) shows both lines" },
  { "D43", function() leaf:mul_(2) end, "mul_: in-place change of a parameter outside no_grad" },
  { "D44", function()
    local kept
    m.scope(function() kept = m.zeros { 2 } end)
    return kept + 1
  end, "add: tensor was released at the end of scope (" },
  { "D45", function() m.add(5) end, "add: argument 1 is missing",
    'called with "." instead of ":"?' },
  { "D45", function() local x = m.zeros { 2 } x.add(m.zeros { 2 }) end, "add: argument 2",
    'called with "." instead of ":"?' },
  { "D47", function() m.optim.SGD({ leaf }, { lr = -1 }) end, "SGD: lr is -1; must be 0 or more" },
  { "D47", function() m.optim.SGD({ leaf }, { lr = "0.1" }) end, 'SGD: lr is "0.1"; expected a number' },
  { "D47", function() m.optim.SGD({ leaf }, { lr = 0 / 0 }) end, "SGD: lr is nan; must be 0 or more" },
  { "D48", function() nn.Dropout(1.5) end, "Dropout: p is 1.5; must be in [0, 1]" },
  { "D50", function() m.data.DataLoader(m.data.Subset(m.datasets.FakeData { size = 4 }, {}), {}) end,
    "DataLoader: data set is empty" },
  { "D51", function() m.data.DataLoader(m.datasets.FakeData { size = 4 }, { batch_size = 0 }) end,
    "DataLoader: batch_size is 0; must be 1 or more" },
  { "D51", function()
    m.data.DataLoader(m.datasets.FakeData { size = 4 }, { batch_size = 1, num_workers = -2 })
  end, "DataLoader: num_workers is -2; must be 0 or more" },
  { "D52", function()
    local ds = { len = function() return 20 end }
    function ds:get(i)
      return m.zeros { 3, 32, i == 18 and 30 or 32 }, 1
    end
    for _ in m.data.DataLoader(ds, { batch_size = 20 })() do end
  end, "DataLoader: sample 18 is {3, 32, 30}, sample 1 was {3, 32, 32}; cannot stack",
    "resize in the transform" },
}

local function live_objects()
  collectgarbage()
  collectgarbage()
  local memory = m.memory()
  return { memory.tensors, memory.nodes }
end

describe("bad input", function()
  for _, row in ipairs(rows) do
    local id, fn, first, later = unpack(row)
    it(id .. " " .. first:sub(1, 60), function()
      if row.skip then
        return pending "needs a machine without this"
      end
      leaf.grad = nil
      local before = live_objects()
      local good, err = pcall(fn)
      assert.is_false(good)
      local line, rest = err:match "^([^\n]*)\n?(.*)$"
      assert.is_truthy(line:match "errors_spec%.lua:%d+: ", "not at the user's line: " .. err)
      assert.is_truthy(line:find(first, 1, true), ("got:      %s\nexpected: %s"):format(err, first))
      if later then
        assert.is_truthy(rest:find(later, 1, true), ("got: %s\nexpected later: %s"):format(err, later))
      end
      assert.is_true(#err <= 1100)
      leaf.grad = nil
      assert.same(before, live_objects())
    end)
  end

  it("names inputs and options below the first line", function()
    local _, err = pcall(function()
      F.conv2d(batch(128, 3, 32, 32), m.zeros { 64, 64, 3, 3 }, { stride = 2, padding = 1 })
    end)
    assert.is_truthy(err:find("x +float32 {128, 3, 32, 32} cpu"), err)
    assert.is_truthy(err:find("weight +float32 {64, 64, 3, 3} +cpu"), err)
    assert.is_truthy(err:find("options stride=2 padding=1", 1, true), err)
  end)
end)

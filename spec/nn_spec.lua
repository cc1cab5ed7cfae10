-- Layers, losses, first values, nn.functional.
local mascon = require "mascon"
local nn = mascon.nn
local F = nn.functional

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function near(expected, got, tolerance)
  assert.is_true(math.abs(expected - got) <= tolerance * math.max(1, math.abs(expected)),
    ("%.9g is not near %.9g"):format(got, expected))
end

describe("layers", function()
  it("take sizes by position, in options or by name", function()
    local a = nn.Conv2d(3, 8, { kernel_size = 3, padding = 1 })
    local b = nn.Conv2d(3, 8, 3, { padding = 1 })
    local c = nn.Conv2d { in_channels = 3, out_channels = 8, kernel_size = 3, padding = 1 }
    assert.equal(tostring(a), tostring(b))
    assert.equal(tostring(a), tostring(c))
    assert.equal("Conv2d(3, 8, kernel_size={3, 3}, stride={1, 1}, padding={1, 1})", tostring(a))
    assert.equal("Conv2d(3, 8, kernel_size={3, 5}, stride={2, 1}, dilation={2, 2}, bias=false)",
      tostring(nn.Conv2d(3, 8, { 3, 5 }, { 2, 1 }, { dilation = 2, bias = false })))
  end)

  it("compute what their operations compute", function()
    local x = mascon.randn { 2, 4, 9, 7 }
    local conv = nn.Conv2d(4, 6, 3, { stride = 2, padding = { 1, 0 }, groups = 2 })
    assert.is_true(mascon.allclose(conv(x),
      F.conv2d(x, conv.weight, conv.bias, { stride = 2, padding = { 1, 0 }, groups = 2 })))
    assert.same({ 2, 4, 9, 7 }, nn.Conv2d(4, 4, 3, { padding = "same" })(x).shape)
    assert.is_true(mascon.allclose(nn.MaxPool2d(2)(x), F.max_pool2d(x, 2)))
    assert.same({ 2, 4, 4, 3 }, nn.MaxPool2d(3, { stride = 2 })(x).shape)
    assert.is_true(mascon.allclose(nn.AvgPool2d(3, 2, 1, { count_include_pad = false })(x),
      F.avg_pool2d(x, { kernel_size = 3, stride = 2, padding = 1, count_include_pad = false })))
    assert.same({ 2, 4, 1, 1 }, nn.AdaptiveAvgPool2d(1)(x).shape)
    assert.same({ 2, 4, 2, 3 }, nn.AdaptiveAvgPool2d { 2, 3 }(x).shape)
    assert.same({ 2, 4, 5, 5 }, nn.AdaptiveAvgPool2d { output_size = 5 }(x).shape)
    assert.same({ 2, 252 }, nn.Flatten()(x).shape)
    assert.same({ 2, 4, 63 }, nn.Flatten(3)(x).shape)
    assert.equal(x, nn.Identity(5, { any = true })(x))
    local linear = nn.Linear(7, 5)
    assert.is_true(mascon.allclose(linear(x), F.linear(x, linear.weight, linear.bias)))
    assert.is_nil(nn.Linear(7, 5, false).bias)
    assert.same({ 3, 4 }, nn.Linear(7, 4, { bias = false })(mascon.ones { 3, 7 }).shape)
  end)

  it("follow a change of their options", function()
    local pool, x = nn.MaxPool2d(2), mascon.randn { 1, 1, 8, 8 }
    assert.same({ 1, 1, 4, 4 }, pool(x).shape)
    pool.stride = 1
    assert.same({ 1, 1, 7, 7 }, pool(x).shape)
    local conv = nn.Conv2d(1, 1, 3)
    assert.same({ 1, 1, 6, 6 }, conv(x).shape)
    conv.padding = 1
    assert.same({ 1, 1, 8, 8 }, conv(x).shape)
  end)

  it("have activations with PyTorch's options and defaults", function()
    local x = mascon.linspace(-4, 4, 33)
    for class, op in pairs { ReLU = "relu", ReLU6 = "relu6", LeakyReLU = "leaky_relu", ELU = "elu", SiLU = "silu",
      Hardswish = "hardswish", Hardsigmoid = "hardsigmoid", GELU = "gelu", Sigmoid = "sigmoid", Tanh = "tanh",
      Softplus = "softplus" } do
      assert.is_true(mascon.allclose(nn[class]()(x), F[op](x)), class)
    end
    near(-0.4, nn.LeakyReLU(0.1)(mascon.tensor(-4)):item(), 1e-6)
    assert.is_true(mascon.allclose(nn.GELU { approximate = "tanh" }(x), F.gelu(x, { approximate = "tanh" })))
    assert.is_true(mascon.allclose(nn.ELU(2)(x), F.elu(x, { alpha = 2 })))
    local s = nn.Softmax(2)(mascon.randn { 3, 5 })
    near(3, s:sum():item(), 1e-6)
    assert.is_true(mascon.allclose(nn.LogSoftmax { dim = -1 }(s), F.log_softmax(s, 2)))
    assert.truthy(message(nn.Softmax):find("Softmax: dim is missing", 1, true))
    assert.equal("LeakyReLU(negative_slope=0.1)", tostring(nn.LeakyReLU(0.1)))
    assert.equal("ReLU(inplace=true)", tostring(nn.ReLU { inplace = true }))
  end)

  it("write in place where asked", function()
    for _, class in ipairs { "ReLU", "ReLU6", "LeakyReLU", "ELU", "SiLU", "Hardswish", "Hardsigmoid" } do
      local x = mascon.linspace(-4, 4, 9)
      local expected = nn[class]()(x)
      local y = nn[class] { inplace = true }(x)
      assert.equal(x, y)
      assert.is_true(mascon.allclose(expected, x), class)
    end
    local x = mascon.ones { 1000 }
    assert.equal(x, nn.Dropout(0.5, { inplace = true })(x))
    assert.is_true(x:eq(0):sum():item() > 300)
  end)

  it("drop in training only", function()
    mascon.manual_seed(1)
    local drop, x = nn.Dropout(0.25), mascon.ones { 10000 }
    local y = drop(x)
    near(0.25, y:eq(0):float():mean():item(), 0.03)
    near(4 / 3, y:max():item(), 1e-6)
    assert.equal(x, drop:eval()(x))
    drop:train()
    drop.p = 1
    assert.equal(0, drop(x):sum():item())
  end)

  it("refuse bad arguments", function()
    assert.truthy(message(nn.Dropout, 1.5):find("Dropout: p is 1.5; must be in [0, 1]", 1, true)) -- D48
    assert.truthy(message(nn.Conv2d, 3, 4, { kernel_size = 3, stride = 0 })
      :find("conv2d: stride is 0; must be 1 or more", 1, true)) -- D22
    assert.truthy(message(nn.Conv2d, 64, 6, 3, { groups = 3 })
      :find("conv2d: 64 input channels are not divisible by groups = 3", 1, true)) -- D23
    assert.truthy(message(nn.Conv2d, 3, 4, { kernel_size = 3, paddin = 1 })
      :find('Conv2d: unknown option "paddin"\nhint: did you mean "padding"?', 1, true)) -- D9
    assert.truthy(message(nn.Conv2d, 3, 4):find("Conv2d: kernel_size is missing", 1, true))
    assert.truthy(message(nn.Conv2d, 3, 4, 3, { padding = "sam" }):find('padding is "sam"', 1, true))
    assert.truthy(message(nn.Conv2d, 3.5, 4, 3):find("in_channels is 3.5; expected a whole number", 1, true))
    assert.truthy(message(nn.Linear, 3, 4, { dtype = "float31" }):find('unknown dtype "float31"', 1, true))
    local text = message(nn.Conv2d(64, 64, 3), mascon.zeros { 2, 3, 8, 8 })
    assert.truthy(text:find("conv2d: input has 3 channels, the layer takes 64", 1, true)) -- D17
    assert.truthy(message(nn.Linear(3, 4), mascon.zeros { 2, 5 })
      :find("linear: input has 5 features, the layer takes 3", 1, true)) -- D24
    assert.truthy(message(function() return nn.Conv3d end):find("there is no nn.Conv3d", 1, true))
    assert.truthy(message(function() return F.conv2 end):find("did you mean conv2d?", 1, true))
  end)
end)

describe("first values", function()
  local function check_uniform(t, bound)
    assert.is_true(t:max():item() <= bound and t:min():item() >= -bound)
    near(bound / math.sqrt(3), t:std():item(), 0.02)
    near(0, t:mean():item() / bound, 4 / math.sqrt(3 * t:numel())) -- four standard errors
  end

  it("of layers are PyTorch's", function()
    mascon.manual_seed(3)
    local conv = nn.Conv2d(32, 64, 3, { groups = 2 })
    check_uniform(conv.weight:detach(), 1 / math.sqrt(16 * 9))
    assert.is_true(conv.bias:abs():max():item() <= 1 / math.sqrt(16 * 9))
    assert.equal("nhwc", (conv.weight:layout()))
    assert.same({ 64, 16, 3, 3 }, conv.weight.shape)
    local linear = nn.Linear(200, 400)
    check_uniform(linear.weight:detach(), 1 / math.sqrt(200))
    check_uniform(linear.bias:detach(), 1 / math.sqrt(200))
  end)

  it("follow from the seed, in the order of construction", function()
    mascon.manual_seed(5)
    local a, b = nn.Linear(4, 4), nn.Linear(4, 4)
    mascon.manual_seed(5)
    local c = nn.Linear(4, 4)
    assert.is_true(a.weight:eq(c.weight):all():item())
    assert.is_false(a.weight:eq(b.weight):all():item())
  end)

  it("are drawn as their names say", function()
    local init, w = nn.init, mascon.empty { 200, 100, 2, 2 }
    check_uniform(init.kaiming_uniform_(w), math.sqrt(2) * math.sqrt(3 / 400))
    check_uniform(init.kaiming_uniform_(w, { mode = "fan_out", nonlinearity = "linear" }), math.sqrt(3 / 800))
    near(math.sqrt(2 / 400), init.kaiming_normal_(w, { nonlinearity = "relu" }):std():item(), 0.02)
    check_uniform(init.xavier_uniform_(w, { gain = 2 }), 2 * math.sqrt(6 / 1200))
    near(math.sqrt(2 / 1200), init.xavier_normal_(w):std():item(), 0.02)
    check_uniform(init.uniform_(w, -2, 2), 2)
    near(3, init.normal_(w, 3, 0.1):mean():item(), 0.01)
    near(0.1, w:std():item(), 0.02)
    assert.equal(7, init.constant_(w, 7):max():item())
    assert.equal(0, init.zeros_(w):sum():item())
    assert.equal(w:numel(), init.ones_(w):sum():item())
    near(5 / 3, init.calculate_gain "tanh", 1e-12)
    local p = nn.Linear(2, 2).weight
    init.ones_(p) -- no error: outside of any graph
    assert.is_true(p.requires_grad)
    assert.truthy(message(init.xavier_uniform_, mascon.zeros { 3 }):find("needs 2 or more", 1, true))
    assert.truthy(message(init.kaiming_normal_, w, { mode = "fan" }):find('mode is "fan"', 1, true))
  end)
end)

describe("CrossEntropyLoss", function()
  it("passes its options on", function()
    local x = mascon.randn { 4, 3 }
    local y = mascon.tensor({ 1, 3, 2, 1 }, { dtype = "int64" })
    local w = mascon.tensor { 1, 2, 3 }
    near(F.cross_entropy(x, y):item(), nn.CrossEntropyLoss()(x, y):item(), 1e-6)
    local loss = nn.CrossEntropyLoss { weight = w, label_smoothing = 0.1, reduction = "sum", ignore_index = 1 }
    near(F.cross_entropy(x, y, w, { label_smoothing = 0.1, reduction = "sum", ignore_index = 1 }):item(),
      loss(x, y):item(), 1e-6)
    assert.equal(1, #loss:buffers())
    assert.truthy(message(nn.CrossEntropyLoss, { reduction = "avg" }):find('reduction is "avg"', 1, true))
    local text = message(nn.CrossEntropyLoss(), x, mascon.tensor({ 1, 0, 2, 1 }, { dtype = "int64" }))
    assert.truthy(text:find("cross_entropy: target 2 of 4 is 0; classes run 1..3", 1, true)) -- D25
  end)
end)

describe("SimpleCNN", function()
  local SimpleCNN = nn.Module:extend "SimpleCNN"

  function SimpleCNN:init(input_shape, hidden_units, output_shape)
    self.conv_block_1 = nn.Sequential(
      nn.Conv2d(input_shape, hidden_units, { kernel_size = 3, padding = 1 }), nn.ReLU(),
      nn.Conv2d(hidden_units, hidden_units, { kernel_size = 3, padding = 1 }), nn.ReLU(), nn.MaxPool2d(2))
    self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(hidden_units * 16 * 16, output_shape))
  end

  function SimpleCNN:forward(x)
    return self.classifier(self.conv_block_1(x))
  end

  it("takes the same five steps as in PyTorch", function()
    local net, k = SimpleCNN(3, 10, 10), 0
    for _, p in net:named_parameters() do
      k = k + 1
      local bound = p:dim() > 1 and 1 / math.sqrt(p:numel() / p:size(1)) or 0.1
      local values = (mascon.arange(0, p:numel(), { dtype = "float64" }) * (0.37 * k)):sin() * bound
      mascon.no_grad(function() p:copy_(values:reshape(p.shape)) end)
    end
    local x = (mascon.arange(0, 8 * 3 * 32 * 32, { dtype = "float64" }) * 0.011):sin():reshape(8, 3, 32, 32):float()
    local y = mascon.tensor({ 1, 2, 3, 10, 5, 5, 7, 1 }, { dtype = "int64" })
    local optimizer, loss_fn = mascon.optim.Adam(net:parameters()), nn.CrossEntropyLoss()
    for _, expected in ipairs { 2.27789903, 2.03734875, 1.79336417, 1.55793381, 1.34791517 } do
      optimizer:zero_grad()
      local loss = loss_fn(net(x), y)
      loss:backward()
      optimizer:step()
      near(expected, loss:item(), 2e-6)
    end
    local expected = { -- sums of |weight| and |gradient|
      ["conv_block_1.0.weight"] = { 33.28228738, 15.64777951 }, ["conv_block_1.0.bias"] = { 0.58877064, 1.19186454 },
      ["conv_block_1.2.weight"] = { 60.73076051, 37.26943423 }, ["conv_block_1.2.bias"] = { 0.60899781, 1.98946759 },
      ["classifier.1.weight"] = { 331.93630058, 149.02819344 }, ["classifier.1.bias"] = { 0.64723335, 0.21109052 },
    }
    for name, p in net:named_parameters() do
      near(expected[name][1], p:detach():double():abs():sum():item(), 1e-5)
      near(expected[name][2], p.grad:double():abs():sum():item(), 1e-5)
    end
  end)
end)

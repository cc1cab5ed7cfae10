-- First values that more than one line of arithmetic makes: truncated normal numbers, orthogonal matrices.
local mascon = require "mascon"
local init = mascon.nn.init

local function message(fn, ...)
  local good, err = pcall(fn, ...)
  assert.is_false(good)
  return err
end

--- The share of the values that lie below x.
local function below(t, x)
  return t:lt(x):sum():item() / t:numel()
end

describe("nn.init.trunc_normal_", function()
  it("has the quantiles of a normal distribution between its ends", function()
    mascon.manual_seed(1)
    local t = init.trunc_normal_(mascon.empty { 100000 }, 0.5, 2, -1, 3)
    assert.is_true(t:min():item() >= -1 and t:max():item() <= 3)
    -- scipy.stats.truncnorm(-0.75, 1.25, loc = 0.5, scale = 2)
    for x, share in pairs { [-0.5] = 0.12267, [0.5] = 0.40941, [1] = 0.55724, [2] = 0.81882 } do
      assert.is_true(math.abs(below(t, x) - share) < 0.006, ("%g: %g"):format(x, below(t, x)))
    end
    assert.is_true(math.abs(t:mean():item() - 0.8540) < 0.02)
    assert.is_true(math.abs(t:std():item() - 1.0732) < 0.02)
  end)

  it("reaches far into a tail", function()
    local t = init.trunc_normal_(mascon.empty({ 10000 }, { dtype = "float64" }), 0, 1, 4, 5)
    assert.is_true(t:min():item() >= 4 and t:max():item() <= 5)
    assert.is_true(math.abs(t:mean():item() - 4.21683) < 0.02, t:mean():item())
  end)

  it("takes no spread, one point, and parameters; follows the seed", function()
    assert.equal(2, init.trunc_normal_(mascon.empty { 3 }, 5, 0):max():item())
    assert.equal(1, init.trunc_normal_(mascon.empty { 3 }, 0, 1, 1, 1):min():item())
    assert.equal(0, init.trunc_normal_(mascon.empty { 0, 3 }):numel())
    local weight = mascon.nn.Linear(4, 4).weight
    mascon.manual_seed(3)
    local first = init.trunc_normal_(weight):detach():clone()
    mascon.manual_seed(3)
    assert.is_true(first:eq(init.trunc_normal_(weight)):all():item())
    assert.is_true(weight.requires_grad)
    assert.truthy(message(init.trunc_normal_, weight, 0, 1, 2, 1):find("a is 2 and b is 1; expected a <= b", 1,
      true))
  end)
end)

describe("nn.init.orthogonal_", function()
  local function error_of(w, gain)
    local n = w:size(1)
    local product = w:matmul(w:transpose(1, 2)) - mascon.eye(n, { dtype = w.dtype }) * gain ^ 2
    return product:abs():max():item()
  end

  it("makes rows or columns orthogonal", function()
    for _, dtype in ipairs { "float32", "float64" } do
      local limit = dtype == "float64" and 1e-13 or 2e-6
      local wide = init.orthogonal_(mascon.empty({ 5, 4, 3, 3 }, { dtype = dtype }))
      assert.is_true(error_of(wide:reshape { 5, 36 }, 1) < limit)
      local high = init.orthogonal_(mascon.empty({ 40, 7 }, { dtype = dtype }), { gain = 2 })
      assert.is_true(error_of(high:transpose(1, 2), 2) < 4 * limit)
      local square = init.orthogonal_(mascon.empty({ 6, 6 }, { dtype = dtype }))
      assert.is_true(error_of(square, 1) < limit)
    end
  end)

  it("takes parameters in any memory, and refuses vectors", function()
    local conv = mascon.nn.Conv2d(3, 8, 3)
    init.orthogonal_(conv.weight)
    assert.is_true(error_of(conv.weight:detach():reshape { 8, 27 }, 1) < 2e-6)
    assert.equal(0, init.orthogonal_(mascon.empty { 0, 3 }):numel())
    assert.truthy(message(init.orthogonal_, mascon.zeros { 3 }):find("tensor has 1 dimension; needs 2 or more", 1,
      true))
  end)
end)

describe("nn.Conv2d with a border of the picture's own", function()
  local nn = mascon.nn

  --- n numbers that go round 0..k - 1, less `less`.
  local function ramp(n, k, less)
    local t = {}
    for i = 1, n do
      t[i] = (i - 1) % k - less
    end
    return mascon.tensor(t)
  end

  -- PyTorch's: the sum of y, and that of y times 0..10 going round
  local known = {
    { "reflect", { 2, 1 }, 1, 196, 718 }, { "reflect", { 2, 1 }, 2, 50, 173 },
    { "reflect", "same", 1, 135, 130 }, { "replicate", { 2, 1 }, 1, 98, 780 },
    { "replicate", { 2, 1 }, 2, 63, 346 }, { "replicate", "same", 1, 86, 165 },
    { "circular", { 2, 1 }, 1, 182, 1269 }, { "circular", { 2, 1 }, 2, 110, 532 },
    { "circular", "same", 1, 92, 66 },
  }

  it("has PyTorch's values, also in a Sequential", function()
    local x = ramp(120, 7, 3):reshape { 2, 2, 5, 6 }
    for _, case in ipairs(known) do
      local mode, padding, stride, sum, weighted = unpack(case)
      local conv = nn.Conv2d(2, 3, { 3, 2 }, { padding = padding, stride = stride, padding_mode = mode })
      mascon.no_grad(function()
        conv.weight:copy_(ramp(36, 5, 2):reshape { 3, 2, 3, 2 })
        conv.bias:copy_(mascon.tensor { 0.5, -1, 2 })
      end)
      local y = conv(x)
      assert.equal(sum, y:sum():item())
      assert.equal(weighted, (y:contiguous():reshape { -1 } * ramp(y:numel(), 11, 0)):sum():item())
      local seq = nn.Sequential(conv, nn.ReLU(), nn.BatchNorm2d(3))
      assert.is_true(mascon.allclose(seq(x), seq[3](y:relu()), { rtol = 1e-5, atol = 1e-6 }))
    end
  end)

  it("says so, and has gradients", function()
    local conv = nn.Conv2d(2, 3, 3, { padding = 1, bias = false, padding_mode = "reflect" })
    assert.equal("Conv2d(2, 3, kernel_size={3, 3}, stride={1, 1}, padding={1, 1}, bias=false, "
      .. "padding_mode=reflect)", tostring(conv))
    local x = mascon.randn({ 1, 2, 4, 4 }, { requires_grad = true })
    conv(x):sum():backward()
    assert.same({ 1, 2, 4, 4 }, x.grad.shape)
    assert.same({ 3, 2, 3, 3 }, conv.weight.grad.shape)
    assert.truthy(message(nn.Conv2d, 2, 3, 3, { padding_mode = "mirror" }):find('padding_mode is "mirror"', 1,
      true))
    assert.truthy(message(conv, mascon.zeros { 1, 2, 1, 4 }):find("allows at most 0 in this mode", 1, true))
  end)
end)

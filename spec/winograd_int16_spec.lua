--- Winograd's method between bfloat16 pictures by products of 16-bit whole numbers: errors at the level of
-- bfloat16's own rounding for values of all kinds, the same bits for any number of threads.

local mascon = require "mascon"
local create = require "mascon.create"
local op = require "mascon.op"

local kernels = require "spec.support.kernels"

-- Root of mean squares of the error, against that of the exact result of the same bfloat16 inputs. The
-- rounding of the result alone makes 0.0017.
local TOLERANCE = 3e-3

-- batch, channels, height, width, output channels, padding
local shapes = {
  { 1, 16, 4, 4, 16, 1 }, -- one tile
  { 2, 19, 9, 11, 23, 1 }, -- parts of tiles, of vectors, of pairs
  { 3, 5, 7, 6, 70, 0 }, -- no padding; a second, narrow panel
  { 1, 33, 5, 13, 8, 2 },
  { 2, 17, 3, 3, 17, { 2, 0 } },
  { 1, 64, 3, 20, 130, { 0, 2 } },
  { 9, 32, 13, 10, 48, 1 }, -- several blocks of tiles, the last smaller
  { 2, 38, 9, 8, 33, 1 }, -- two chunks of channels, the second of six
  { 2, 160, 6, 7, 190, 1 }, -- by positions
  { 40, 176, 14, 14, 176, 1 }, -- by positions in chunks
  { 1, 1, 4, 4, 1, 1 },
}

local function normal(sizes, seed)
  mascon.manual_seed(seed)
  return create.new_nhwc("spec", sizes):normal_():to "bfloat16"
end

local function by_winograd(fn)
  return kernels.by(kernels.WINOGRAD, 0, fn)
end

local function forward(x, weight, bias, padding)
  return op.run("conv2d", "spec", false, x, weight, bias, { padding = padding })
end

local function back(dy, weight, padding, h, w)
  return op.run("conv2d_bwd_data", "spec", false, dy, weight, { padding = padding, height = h, width = w })
end

--- The passes of a shape, each as a function of the type it computes in.
local function passes(s, x)
  local n, c, h, w, oc, padding = unpack(s, 1, 6)
  x = x or normal({ n, c, h, w }, 1)
  local weight, bias = normal({ oc, c, 3, 3 }, 2), normal({ 1, oc, 1, 1 }, 3):flatten()
  local dy = normal(forward(x, weight, bias, padding).shape, 4)
  return {
    function(dtype) return forward(x:to(dtype), weight:to(dtype), bias:to(dtype), padding) end,
    function(dtype) return back(dy:to(dtype), weight:to(dtype), padding, h, w) end,
  }
end

local function off(got, want)
  got, want = got:to "float64", want:to "float64"
  return math.sqrt(((got - want) * (got - want)):mean():item() / (want * want):mean():item())
end

local features = {}
for _, name in ipairs(mascon.config().features) do
  features[name] = true
end
local available = features.avx512f and features.avx512bw and features.avx512vl and features.avx512dq

describe("Winograd's method in bfloat16", function()
  if not available then -- no AVX-512: bfloat16 has no Winograd kernel
    return
  end

  for _, s in ipairs(shapes) do
    local title = kernels.title(s)
    it("agrees with float32: " .. title, function()
      for pass, fn in ipairs(passes(s)) do
        local e = off(by_winograd(function() return fn "bfloat16" end), fn "float32")
        assert.is_true(e < TOLERANCE, ("pass %d is off by %g"):format(pass, e))
      end
    end)
    it("gives the same bits for 1, 2, 4 threads: " .. title, function()
      local before = mascon.get_num_threads()
      for _, fn in ipairs(passes(s)) do
        local first
        for _, threads in ipairs { 1, 2, 4 } do
          mascon.set_num_threads(threads)
          local y = by_winograd(function() return fn "bfloat16" end)
          first = first or y
          assert.is_true(mascon.eq(y, first):all():item())
        end
        mascon.set_num_threads(before)
      end
    end)
  end

  it("keeps the error where channels and pictures differ much in size, and most values are 0", function()
    local s = { 4, 128, 12, 12, 64, 1 }
    local x = normal({ 4, 128, 12, 12 }, 5):to "float32"
    local channels = mascon.randn({ 1, 128, 1, 1 }):exp()
    local pictures = mascon.tensor { 1e-20, 1, 1e3, 1e20 }:reshape { 4, 1, 1, 1 }
    local some = mascon.rand({ 4, 128, 12, 12 }):gt(0.75):to "float32"
    local fn = passes(s, (x * channels * pictures * some):to "bfloat16")[1]
    local got, want = by_winograd(function() return fn "bfloat16" end), fn "float32"
    for n = 2, 4 do -- each by itself; the bias hides the first
      local e = off(got[n], want[n])
      assert.is_true(e < TOLERANCE, ("picture %d is off by %g"):format(n, e))
    end
  end)

  it("scales with its input and its weights", function()
    local x, w = normal({ 2, 24, 8, 8 }, 1), normal({ 24, 24, 3, 3 }, 2)
    local function run(a, b)
      return by_winograd(function() return forward(x * a, w * b, nil, 1) end):to "float32"
    end
    local y = run(1, 1)
    for _, f in ipairs { { 2 ^ 40, 1 }, { 1, 2 ^ -40 }, { 2 ^ -60, 2 ^ 70 } } do
      assert.is_true(mascon.eq(run(f[1], f[2]), y * (f[1] * f[2])):all():item())
    end
    assert.is_true(run(0, 1):eq(0):all():item())
    assert.is_true(run(1, 0):eq(0):all():item())
  end)

  it("lets a NaN and an infinity reach all outputs they belong to, and tiles far from them not", function()
    for _, bad in ipairs { 0 / 0, math.huge, -math.huge } do
      local x, w = normal({ 2, 80, 16, 16 }, 1), normal({ 24, 80, 3, 3 }, 2)
      x[1][70][3][3]:fill_(bad)
      local y = by_winograd(function() return forward(x, w, nil, 1) end):to "float32"
      local finite = y:abs():lt(1e30):to "float32"
      for row = 2, 4 do
        for column = 2, 4 do
          for channel = 1, 24 do
            assert.equal(0, finite[1][channel][row][column]:item())
          end
        end
      end
      assert.equal(24 * 256, finite[2]:sum():item())
      assert.equal(1, finite[1][1][12][12]:item())
      w[5][1][1][1]:fill_(bad)
      y = by_winograd(function() return forward(x, w, nil, 1) end):to "float32"
      assert.equal(0, y[2][5]:abs():lt(1e30):to "float32":sum():item())
      assert.equal(256, y[2][6]:abs():lt(1e30):to "float32":sum():item())
    end
  end)

  it("takes batch norm by running statistics, a residual and relu in", function()
    local x, w = normal({ 3, 72, 10, 9 }, 1), normal({ 40, 72, 3, 3 }, 2)
    local residual = normal({ 3, 40, 10, 9 }, 3)
    local mean, var = mascon.randn { 40 }, mascon.rand { 40 } + 0.5
    local scale, shift = mascon.rand { 40 } + 0.5, mascon.randn { 40 }
    local function run(dtype)
      return op.run("conv2d_norm", "spec", false, x:to(dtype), w:to(dtype), nil, mean, var, scale, shift,
        residual:to(dtype), { padding = 1, relu = true })
    end
    local want = run "float32"
    for _ = 1, 3 do -- the folded weights are kept from the second call on
      assert.is_true(off(by_winograd(function() return run "bfloat16" end), want) < TOLERANCE)
    end
  end)

  it("sees new weights", function()
    local x, w = normal({ 1, 16, 8, 8 }, 1), normal({ 16, 16, 3, 3 }, 2)
    local function run()
      return by_winograd(function() return forward(x, w, nil, 1) end)
    end
    local first = run()
    assert.is_true(mascon.eq(run(), first):all():item())
    w:mul_(2)
    for _ = 1, 3 do
      assert.is_true(mascon.eq(run(), first * 2):all():item())
    end
  end)
end)

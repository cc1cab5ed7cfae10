--- Element by element, moving, indexing and random kernels of the CUDA backend, in every dtype and at sizes
-- that the samples of spec/ops do not reach: whole loads and their tails, memory that is not aligned,
-- tiles, lines cut into pieces, sums in a fixed order. Everything is compared with the CPU. Needs a
-- device: MASCON_BACKEND_PATH=build/cuda-fake has one without a GPU.

local mascon = require "mascon"
local create = require "mascon.create"
local op = require "mascon.op"

local FLOATS = { "float32", "float64", "bfloat16", "float16" }
local NUMBERS = { "float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8" }
local ALL = { "float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8", "bool" }
local ROUNDING = { float32 = 2e-6, float64 = 1e-12, bfloat16 = 2 ^ -7, float16 = 2 ^ -10 }

local function rounding(dtype, times)
  return (ROUNDING[dtype] or 0) * (times or 1)
end

local function make(shape, dtype, scale)
  if dtype == "bool" then
    return mascon.rand(shape):gt(0.5)
  elseif dtype == "uint8" then
    return mascon.randint(0, 200, shape):to(dtype)
  elseif dtype:match "int" then
    return mascon.randint(-100, 100, shape):to(dtype)
  end
  return (mascon.randn(shape) * (scale or 2)):to(dtype)
end

local function is_tensor(v)
  return type(v) ~= "number" and type(v) ~= "string"
end

--- The same values on the device, one element behind the beginning of an allocation.
local function shifted(t)
  local n = t:numel()
  local base = mascon.zeros({ n + 1 }, { dtype = t.dtype, device = "cuda" })
  base:narrow(1, 2, n):copy_(t:reshape(-1):to "cuda")
  return base:narrow(1, 2, n):view(t.shape)
end

local function agree(want, got, tolerance, label)
  assert.same(want.shape, got.shape, label)
  assert.equal(want.dtype, got.dtype, label)
  assert.truthy(got.device:match "cuda", label)
  got = got:to "cpu"
  local differs = mascon.ne(want, got)
  if want.dtype:match "float" then -- one NaN is as good as another
    differs = mascon.logical_and(differs, mascon.logical_and(mascon.isnan(want), mascon.isnan(got)):logical_not())
  end
  if not differs:any():item() then
    return
  end
  assert.is_true(tolerance > 0, label .. ": not equal")
  local a, b = want:masked_select(differs):to "float64", got:masked_select(differs):to "float64"
  local off = ((a - b):abs() / a:abs():clamp(1)):max():item()
  assert.is_true(off <= tolerance, ("%s: off by %g"):format(label, off))
end

--- f(inputs...) on the CPU, on the device, and there with inputs that are not aligned.
local function both(label, tolerance, f, ...)
  local inputs, on_device, unaligned = { ... }, {}, {}
  for i, v in ipairs(inputs) do
    on_device[i] = is_tensor(v) and v:to "cuda" or v
    unaligned[i] = is_tensor(v) and v:is_contiguous() and shifted(v) or on_device[i]
  end
  local want = { f(unpack(inputs)) }
  for _, list in ipairs { on_device, unaligned } do
    local got = { f(unpack(list)) }
    for i, w in ipairs(want) do
      agree(w, got[i], tolerance, ("%s, output %d"):format(label, i))
    end
  end
end

local function hidden(name, ...)
  return op.run(name, name, false, ...)
end

local function nhwc(t)
  local dense = create.new_nhwc("spec", t.shape, t.dtype, t.device)
  dense:copy_(t)
  return dense
end

local suite = mascon.cuda.is_available() and describe or pending

suite("elementwise and moving kernels of the cuda backend", function()
  before_each(function()
    mascon.manual_seed(7)
  end)

  it("convert every dtype to every other", function()
    local odd = mascon.tensor { 0 / 0, 1 / 0, -1 / 0, 3e9, -3e9, 1e19, -1e19, 0.5, -0.5, 255.5, 256, -1, 65504,
      70000, 1e-8 }
    for _, from in ipairs(ALL) do
      local x, flat = make({ 3, 70 }, from, 100), make({ 1037 }, from, 100)
      for _, to in ipairs(ALL) do
        both(from .. " to " .. to, 0, function(a, b) return a:cast(to), a:t():cast(to), b:cast(to) end, x, flat)
      end
    end
    for _, from in ipairs(FLOATS) do
      for _, to in ipairs(ALL) do
        both("special " .. from .. " to " .. to, 0, function(a) return a:cast(to) end, odd:to(from))
      end
    end
  end)

  it("move elements of every size", function()
    for _, dtype in ipairs(ALL) do
      both("copies " .. dtype, 0, function(x)
        return x:clone(), nhwc(x), nhwc(x):contiguous(), x:permute(4, 2, 1, 3):contiguous(),
          x:permute(2, 3, 4, 1):contiguous(), x:narrow(4, 2, 3):contiguous(), x:narrow(2, 2, 2):clone(),
          x:unsqueeze(1):expand(3, -1, -1, -1, -1):contiguous()
      end, make({ 2, 16, 9, 12 }, dtype))
      both("order " .. dtype, 0, function(x)
        return x:flip(1), x:flip { 2, 4 }, mascon.roll(x, 3), mascon.roll(x, { 1, -2 }, { 2, 4 }),
          mascon.roll(x, { 5, 7, 1 }, { 4, 4, 1 }), x:tril(), x:transpose(3, 4):triu(2), nhwc(x):flip(2)
      end, make({ 2, 5, 7, 9 }, dtype))
      both("repeats " .. dtype, 0, function(x)
        return x:tile(2, 1, 3, 2), x:tile(2, 1, 1, 1, 2), x:repeat_interleave(3),
          x:repeat_interleave(2, { dim = 2 }), x:transpose(1, 4):repeat_interleave(3, { dim = 1 }),
          mascon.cat { x, x:narrow(2, 1, 2), dim = 2 }, mascon.cat { nhwc(x), nhwc(x), dim = 2 }
      end, make({ 2, 3, 4, 6 }, dtype))
      for _, mode in ipairs { "constant", "reflect", "replicate", "circular" } do
        both("pad " .. mode .. " " .. dtype, 0, function(x)
          return mascon.pad(x, { 2, 1, 3, 0, 1, 0 }, { mode = mode }), mascon.pad(nhwc(x), { 1, 2 }, { mode = mode })
        end, make({ 2, 3, 5, 7 }, dtype))
      end
      both("in place " .. dtype, 0, function(x)
        local y = mascon.zeros({ 40, 50 }, { dtype = dtype, device = x.device })
        y:narrow(1, 3, 10):copy_(x:narrow(1, 1, 10))
        y:narrow(2, 7, 9):fill_(1)
        y:narrow(2, 20, 1):copy_(mascon.ones({ 40, 1 }, { device = x.device }))
        return y
      end, make({ 40, 50 }, dtype))
    end
    -- more dimensions than a kernel walks: eight of them, each repeated
    both("tile of eight", 0, function(x)
      return x:tile(2, 2, 2, 2, 2, 2, 2, 2)
    end, make({ 2, 1, 2, 2, 1, 2, 2, 2 }, "float32"))
  end)

  it("draw the same numbers as the CPU", function()
    local function draw(label, tolerance, f)
      mascon.manual_seed(11)
      local want = { f("cpu") }
      mascon.manual_seed(11)
      for i, got in ipairs { f("cuda") } do
        agree(want[i], got, tolerance, label)
      end
    end
    for _, dtype in ipairs(FLOATS) do
      draw("uniform " .. dtype, 0, function(device)
        local y = mascon.zeros({ 3, 5, 7, 9 }, { dtype = dtype, device = device })
        return y:clone():uniform_(), nhwc(y):uniform_(-3, 5)
      end)
      draw("normal " .. dtype, dtype == "float64" and 1e-14 or rounding(dtype) / 8, function(device)
        return mascon.zeros({ 4099 }, { dtype = dtype, device = device }):normal_(1, 3)
      end)
    end
    for _, dtype in ipairs { "int64", "int32", "uint8", "float32" } do
      draw("made " .. dtype, 0, function(device)
        local o = { dtype = dtype, device = device }
        return mascon.randint(3, 100, { 1000, 3 }, o), mascon.arange(3, 103, 7, o), mascon.linspace(3, 103, 77, o),
          mascon.eye(13, 77, o), mascon.full({ 13, 77 }, 3.7, o)
      end)
    end
    draw("fractions", 0, function(device)
      return mascon.arange(0, 1, 0.001, { device = device }), mascon.linspace(0, 1, 1001, { device = device })
    end)
    for _, n in ipairs { 0, 1, 2, 3, 10, 1000, 30000 } do
      draw("randperm", 0, function(device) return mascon.randperm(n, { device = device }) end)
    end
  end)

  it("compute functions of one tensor", function()
    local odd = mascon.tensor { 0 / 0, 1 / 0, -1 / 0, 0, -0.0, 1, -1, 2.5, 3.5, -2.5, 100, -100 }
    local plain = { "exp", "expm1", "sin", "cos", "erf", "abs", "neg", "sign", "floor", "ceil", "round", "sigmoid",
      "tanh", "relu", "relu6", "reciprocal", "isnan", "isfinite", "logical_not" }
    local real = { "leaky_relu", "elu", "softplus", "gelu", "silu", "hardswish", "hardsigmoid", "relu", "relu6",
      "sigmoid", "tanh" }
    for _, dtype in ipairs(NUMBERS) do
      local floating = dtype:match "float"
      local tolerance = floating and rounding(dtype) or 4e-6
      local flat, wide = make({ 1037 }, dtype), make({ 2, 7, 5, 8 }, dtype)
      for _, name in ipairs(plain) do
        both(name .. " " .. dtype, tolerance, function(x, y)
          return mascon[name](x), mascon[name](nhwc(y)), mascon[name](y:permute(3, 1, 4, 2))
        end, flat, wide)
      end
      both("clamp " .. dtype, tolerance, function(x)
        return x:clamp(-1, 1.5), mascon.clamp(x, { min = 0 }), mascon.clamp(x, { max = 1 }), x:clamp(3, 2)
      end, flat)
      for _, name in ipairs(floating and real or {}) do
        local saved = make({ 1037 }, dtype)
        both(name .. " " .. dtype, tolerance, function(x) return mascon[name](x) end, flat)
        both(name .. "_bwd " .. dtype, 2 * tolerance, function(dy, x) return hidden(name .. "_bwd", dy, x) end,
          flat, saved)
      end
      if floating then
        for _, name in ipairs(plain) do
          both("special " .. name .. " " .. dtype, tolerance, function(x) return mascon[name](x) end, odd:to(dtype))
        end
        both("special " .. dtype, tolerance, function(x)
          return x:log(), x:log1p(), x:sqrt(), x:rsqrt(), x:gelu(), x:gelu { approximate = "tanh" }, x:softplus(),
            x:clamp(-1, 1), x:clamp(0 / 0, 1), mascon.clamp(x, { max = 0 / 0 }),
            hidden("clamp_bwd", mascon.ones_like(x), x, { min = -1, max = 1 })
        end, odd:to(dtype))
      end
    end
  end)

  it("compute functions of two tensors", function()
    local names = { "add", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge", "logical_and",
      "logical_or" }
    local shapes = { { { 1037 }, { 1037 } }, { { 1037 }, { 1 } }, { { 20, 65 }, { 65 } }, { { 20, 65 }, { 20, 1 } },
      { { 20, 64 }, { 64 } }, { { 2, 16, 3, 8 }, { 16, 1, 1 } }, { { 20, 1 }, { 1, 24 } } }
    for _, dtype in ipairs(ALL) do
      local tolerance = rounding(dtype)
      for _, pair in ipairs(shapes) do
        for _, name in ipairs(names) do
          both(name .. " " .. dtype, tolerance, function(x, y)
            return mascon[name](x, y), mascon[name](y, x)
          end, make(pair[1], dtype), make(pair[2], dtype))
        end
      end
      both("channels last " .. dtype, tolerance, function(x, y) return nhwc(x):add(y), nhwc(x):mul(nhwc(x)) end,
        make({ 2, 16, 3, 8 }, dtype), make({ 16, 1, 1 }, dtype))
      for _, number in ipairs { 2, 0.5, -1, 300, 1e10, 1 / 0 } do
        for _, name in ipairs(names) do
          both(("%s %g %s"):format(name, number, dtype), math.max(tolerance, 1e-6), function(x)
            return mascon[name](x, number), mascon[name](x, { other = number, swap = true })
          end, make({ 133 }, dtype))
        end
      end
      if dtype ~= "bool" then
        both("powers " .. dtype, 4 * tolerance, function(x, y)
          return x:pow(2), x:pow(3), x:pow(4), x:abs():add(1):pow(y), x - y
        end, make({ 133 }, dtype), mascon.randint(0, 4, { 133 }):to(dtype))
      end
      for _, other in ipairs(ALL) do
        both("where " .. dtype .. " " .. other, 0, function(c, x, y) return mascon.where(c, x, y) end,
          make({ 131 }, "bool"), make({ 131 }, dtype), make({ 131 }, other))
      end
      both("where " .. dtype, 0, function(c, x, y)
        return mascon.where(c, x, y), mascon.where(c, x, { value = 3 }),
          mascon.where(c, x, { value = 2.5, swap = true }), x:masked_fill(c, 7), x:t():masked_fill(c:t(), 1)
      end, make({ 16, 64 }, "bool"), make({ 16, 64 }, dtype), make({ 64 }, dtype))
    end
    both("mixed logic", 0, function(a, b) return a:logical_and(b), b:logical_or(a) end, make({ 100 }, "int64"),
      make({ 100 }, "float32"))
  end)

  for _, fixed in ipairs { false, true } do
    it("read and add at positions" .. (fixed and ", in a fixed order" or ""), function()
      mascon.deterministic(fixed)
      finally(function() mascon.deterministic(false) end)
      for _, dtype in ipairs(ALL) do
        local x, rows = make({ 50, 64 }, dtype), mascon.randint(1, 50, { 131 })
        local tolerance = rounding(dtype, 4)
        both("select " .. dtype, 0, function(t, i, p)
          return t:index_select(i, { dim = 1 }), t:t():index_select(i, { dim = 2 }),
            nhwc(p):index_select(i:narrow(1, 1, 9):clamp(1, 3), { dim = 2 }), mascon.embedding(i, t),
            mascon.embedding(i:to "int32", t:narrow(2, 2, 7))
        end, x, rows, make({ 2, 3, 5, 6 }, dtype))
        both("gather " .. dtype, 0, function(t, i, j) return t:gather(i, { dim = 1 }), t:gather(j, { dim = 2 }) end,
          x, mascon.randint(1, 50, { 7, 64 }), mascon.randint(1, 64, { 50, 9 }))
        both("index_add " .. dtype, tolerance, function(t, i, s)
          return hidden("index_add", t, i, s, { dim = 1 }), hidden("index_add", t:t(), i, s:t(), { dim = 2 })
        end, x, rows, make({ 131, 64 }, dtype))
        both("scatter_add " .. dtype, tolerance, function(t, i, s, line, j, v)
          return hidden("scatter_add", t, i, s, { dim = 2 }), hidden("scatter_add", line, j, v, { dim = 1 })
        end, x, mascon.randint(1, 64, { 50, 9 }), make({ 50, 9 }, dtype), make({ 100 }, dtype),
          mascon.randint(1, 100, { 401 }), make({ 401 }, dtype))
      end
    end)
  end

  it("keep what a condition chooses, in order", function()
    for _, dtype in ipairs(ALL) do
      both(dtype, 0, function(x, mask, row)
        return x:masked_select(mask), x:masked_select(row), x:t():masked_select(mask:t()), x:nonzero(),
          x:t():nonzero()
      end, make({ 70, 77 }, dtype) * make({ 70, 77 }, "bool"):to(dtype), make({ 70, 77 }, "bool"),
        make({ 77 }, "bool"))
    end
    both("one_hot", 0, function(i) return mascon.one_hot(i), mascon.one_hot(i, { num_classes = 60 }) end,
      mascon.randint(1, 50, { 4, 7 }))
  end)

  it("sum along short, long and neighbouring lines", function()
    for _, dtype in ipairs { "float32", "bfloat16", "int32" } do
      for _, shape in ipairs { { 3, 70, 5 }, { 4500, 1 }, { 2, 300, 9 } } do
        for dim = 1, #shape do
          both("cumsum " .. dtype, rounding(dtype, 8), function(x)
            return x:cumsum(dim), x:transpose(1, #shape):cumsum(dim)
          end, make(shape, dtype, 1))
        end
      end
    end
  end)

  it("interpolate, and take gradients back", function()
    for _, dtype in ipairs { "float32", "bfloat16" } do
      for _, mode in ipairs { "nearest", "nearest-exact", "bilinear", "bicubic" } do
        for _, antialias in ipairs(mode:match "^bi" and { false, true } or { false }) do
          for _, size in ipairs { { 20, 31 }, { 5, 6 } } do
            local options = { size = size, mode = mode, antialias = antialias }
            local back = { size = size, mode = mode, antialias = antialias, height = 11, width = 13 }
            both("interpolate " .. mode, rounding(dtype, 4), function(x)
              return mascon.interpolate(x, options), mascon.interpolate(nhwc(x), options)
            end, make({ 2, 3, 11, 13 }, dtype))
            both("interpolate_bwd " .. mode, rounding(dtype, 8), function(dy)
              return hidden("interpolate_bwd", dy, back), hidden("interpolate_bwd", nhwc(dy), back)
            end, make({ 2, 3, size[1], size[2] }, dtype))
          end
        end
      end
      for _, mode in ipairs { "constant", "reflect", "replicate", "circular" } do
        both("pad_bwd " .. mode, rounding(dtype, 8), function(dy)
          return hidden("pad_bwd", dy, { pad = { 2, 1, 3, 2 }, mode = mode })
        end, make({ 2, 3, 12, 13 }, dtype))
      end
    end
  end)
end)

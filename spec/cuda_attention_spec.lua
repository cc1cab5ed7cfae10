--- Attention on a device, by matrix products and by a warp for each row, against the CPU: shapes that take
-- each way, rows of any width, scores that are cut into parts (the fake device has room for 64 KB of them).
-- Needs a device: MASCON_BACKEND_PATH=build/cuda-fake has one without a GPU.

local mascon = require "mascon"
local compile = require "mascon.compile"
local S = require "spec.support.sample"
local attention = mascon.nn.functional.scaled_dot_product_attention

local TOLERANCE = { float32 = 2e-5, float64 = 1e-12, bfloat16 = 2 ^ -6, float16 = 2 ^ -9 }

local function randn(shape, dtype, seed)
  return S.make(mascon, S.randn(shape), dtype, seed)
end

--- f(q, k, v, mask) and its gradients on a device, the random numbers from one seed.
local function results(inputs, f, device)
  local leaves = {}
  for i, t in ipairs(inputs) do
    t = t:to(device):detach()
    leaves[i] = t.dtype == "bool" and t or t:requires_grad_(true)
  end
  mascon.manual_seed(7)
  local y = f(unpack(leaves))
  local out = { y:detach() }
  y:backward(randn(y.shape, y.dtype, 5):to(device))
  for _, t in ipairs(leaves) do
    out[#out + 1] = t.grad
  end
  return out
end

local function agree(label, want, got, tolerance)
  assert.equal(#want, #got)
  for i, w in ipairs(want) do
    local a, b = got[i]:to("cpu"):to "float64", w:to "float64"
    assert.same(w.shape, got[i].shape, label)
    assert.is_true(mascon.isfinite(b):all():item(), label)
    local off = w:numel() == 0 and 0 or (a - b):abs():max():item() / math.max(b:abs():max():item(), 0.1)
    assert.is_true(off <= tolerance, ("%s: output %d off by %g"):format(label, i, off))
  end
end

--- The same on both sides. 16 bits are compared with float64 of the same numbers.
local function compare(label, inputs, options, dtypes, f)
  f = f or function(q, k, v, mask) return attention(q, k, v, mask, options) end
  for _, dtype in ipairs(dtypes or { "float32" }) do
    local half = dtype == "bfloat16" or dtype == "float16"
    local given, wide = {}, {}
    for i, t in ipairs(inputs) do
      given[i] = t.dtype == "bool" and t or t:to(dtype)
      wide[i] = half and t.dtype ~= "bool" and given[i]:to "float64" or given[i]
    end
    agree(label .. " " .. dtype, results(wide, f, "cpu"), results(given, f, "cuda"), TOLERANCE[dtype])
  end
end

--- q {batch, l, e}, k {batch, s, e}, v {batch, s, width}
local function qkv(batch, l, s, e, width)
  local list = {}
  for i, last in ipairs { { l, e }, { s, e }, { s, width or e } } do
    local shape = { unpack(batch) }
    shape[#shape + 1], shape[#shape + 2] = last[1], last[2]
    list[i] = randn(shape, "float64", 3 + i)
  end
  return list
end

local function with(list, mask)
  list[4] = mask
  return list
end

local function bools(shape)
  return S.make(mascon, S.bool(shape), nil, 2)
end

local ALL = { "float32", "float64", "bfloat16", "float16" }
local suite = mascon.cuda.is_available() and describe or pending

suite("attention on a device", function()
  it("of short and of long rows, whole and in parts", function()
    compare("a warp for each row", qkv({ 2, 3 }, 9, 7, 20, 12), {}, ALL)
    compare("whole", qkv({ 2 }, 5, 130, 24), {}, ALL)
    compare("some matrices at a time", qkv({ 5 }, 40, 128, 9, 3), {}, ALL)
    compare("a matrix in parts", qkv({ 2 }, 150, 140, 12, 7), {}, ALL)
    compare("one query", qkv({ 3 }, 1, 3000, 8), {}, { "float32", "bfloat16" })
    compare("one key", qkv({ 2 }, 130, 1, 8), {})
    compare("one feature", qkv({ 2 }, 20, 129, 1), {}, { "float32", "bfloat16" })
  end)

  it("of rows of any width", function()
    for _, width in ipairs { 12288, 12289, 20011 } do
      compare("values of " .. width, qkv({ 2 }, 3, 4, 5, width), {})
      compare("features of " .. width, qkv({ 1 }, 3, 4, width, 5), { scale = 0.01 })
    end
    compare("wide float64", qkv({ 1 }, 2, 3, 4000, 4000), { scale = 0.01 }, { "float64" })
  end)

  it("with each kind of mask", function()
    for _, l in ipairs { 12, 150 } do
      compare("causal", qkv({ 2 }, l, 140, 8), { is_causal = true }, l == 12 and ALL or nil)
      compare("causal, more queries", qkv({ 2 }, 140, l - 7, 8), { is_causal = true })
      compare("bools", with(qkv({ 2, 2 }, l, 135, 8), bools { 2, 1, l, 135 }), {})
      compare("bools of keys", with(qkv({ 2 }, l, 135, 8), bools { 135 }), {})
      compare("numbers", with(qkv({ 2 }, l, 135, 8), randn({ 2, l, 135 }, "float64", 1)), { scale = 0.2 },
        l == 12 and ALL or nil)
      compare("numbers of rows", with(qkv({ 2, 2 }, l, 135, 8), randn({ 2, 1, l, 1 }, "float64", 1)), {}, nil,
        function(q, k, v, mask) return attention(q, k, v, mask:detach()) end)
      compare("numbers of keys", with(qkv({ 2, 2 }, l, 135, 8), randn({ 1, 1, 135 }, "float64", 1)), {})
    end
  end)

  it("gives 0 for rows that take part in nothing", function()
    local mask = mascon.ones({ 40, 135 }, { dtype = "bool" })
    mask[3] = false
    local add = mascon.zeros { 40, 135 }
    add[3] = -math.huge
    for _, m in ipairs { mask, add } do
      local got = results(with(qkv({ 2 }, 40, 135, 8), m), function(q, k, v, given)
        return attention(q:to "float32", k:to "float32", v:to "float32", given)
      end, "cuda")
      assert.equal(0, got[1]:select(2, 3):abs():sum():item() + got[2]:select(2, 3):abs():sum():item())
      for _, t in ipairs(got) do
        assert.is_true(mascon.isfinite(t):all():item())
      end
    end
  end)

  it("drops the weights that the CPU drops", function()
    for _, shape in ipairs { { 9, 7 }, { 40, 130 }, { 150, 140 } } do
      for _, p in ipairs { 0.3, 1 } do
        compare("dropout", qkv({ 3 }, shape[1], shape[2], 8), { dropout_p = p, is_causal = true },
          p < 1 and { "float32", "float64", "bfloat16" } or nil)
      end
    end
  end)

  it("of operands that lie anywhere, and broadcast", function()
    local function heads(t) -- {batch, positions, heads, features} as {batch, heads, positions, features}
      return t:transpose(2, 3)
    end
    for _, s in ipairs { 12, 130 } do
      local inputs = { randn({ 2, 9, 3, 8 }, "float64", 1), randn({ 2, s, 3, 8 }, "float64", 2),
        randn({ 2, s, 3, 8 }, "float64", 3) }
      compare("transposed", inputs, nil, { "float32", "bfloat16" }, function(q, k, v)
        return attention(heads(q), heads(k), heads(v))
      end)
      compare("narrowed", inputs, nil, nil, function(q, k, v)
        return attention(heads(q):narrow(4, 2, 5), heads(k):narrow(4, 3, 5), heads(v):narrow(4, 4, 4))
      end)
      local few = { randn({ 2, 1, 3, 9, 8 }, "float64", 1), randn({ 4, 1, s, 8 }, "float64", 2),
        randn({ s, 6 }, "float64", 3) }
      compare("broadcast", few, {}, { "float32", "bfloat16" })
      few[4] = randn({ 2, 1, 1, 1, s }, "float64", 4)
      compare("broadcast with a mask", few, {})
    end
  end)

  it("of nothing", function()
    local function check(batch, l, s, e, width)
      compare(table.concat({ batch, l, s, e, width }, " "), qkv({ batch }, l, s, e, width), {})
    end
    for _, s in ipairs { 2, 130 } do
      for _, features in ipairs { { 8, 8 }, { 0, 8 }, { 8, 0 }, s == 2 and { 8, 13000 } or nil } do
        check(0, 3, s, features[1], features[2])
        check(2, 0, s, features[1], features[2])
        check(2, s, 0, features[1], features[2])
        check(2, 3, s, features[1], features[2])
      end
    end
    check(1, 3, 2, 0, 13000)
    compare("no features", qkv({ 2 }, 150, 140, 0, 8), {}, { "float32", "bfloat16" })
  end)

  it("gives the same bits twice, and in a graph with other random numbers each time", function()
    local q, k, v = unpack(qkv({ 2 }, 150, 140, 8))
    local function step(a)
      a = a:detach():requires_grad_(true)
      local y = attention(a, k, v, { dropout_p = 0.2 })
      y:sum():backward()
      return y:detach(), a.grad
    end
    q, k, v = q:to("float32"):to "cuda", k:to("float32"):to "cuda", v:to("float32"):to "cuda"
    local compiled = mascon.compile(step)
    local runs = {}
    for i, f in ipairs { step, step, compiled } do
      mascon.manual_seed(3)
      runs[i] = {}
      for n = 1, 4 do
        local y, grad = f(q)
        runs[i][n] = { y:clone(), grad:clone() }
      end
    end
    for i = 2, 3 do
      for n = 1, 4 do
        for part = 1, 2 do
          assert.is_true(runs[1][n][part]:eq(runs[i][n][part]):all():item(), ("run %d, call %d"):format(i, n))
        end
      end
    end
    assert.is_false(runs[3][3][1]:eq(runs[3][4][1]):all():item())
    assert.equal(1, #compile.recordings(compiled))
  end)

  it("stays finite for large scores, and keeps NaN", function()
    local q, k, v = unpack(qkv({ 2 }, 20, 130, 8))
    q, k, v = q:to("float32"):to "cuda", k:to("float32"):to "cuda", v:to("float32"):to "cuda"
    assert.is_true(mascon.isfinite(attention(q * 1e4, k, v)):all():item())
    assert.is_true(mascon.isnan(attention(q * (0 / 0), k, v)):all():item())
    local mask = mascon.zeros({ 20, 130 }, { device = "cuda" })
    mask[2][5] = math.huge
    v = v:requires_grad_(true)
    local y = attention(q, k, v, mask)
    y:sum():backward()
    assert.is_true(mascon.isnan(y:select(2, 2)):all():item() and mascon.isfinite(y:select(2, 3)):all():item())
    assert.is_true(mascon.isnan(v.grad):all():item(), "as on the CPU: no weight of the row is known")
  end)
end)

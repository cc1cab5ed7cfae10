-- Samples of scaled_dot_product_attention, and checks of its masks and its dropout.
local S = require "spec.support.sample"
local op = require "mascon.op"

local function qkv(batch, l, s, e, v)
  local function of(rows, columns)
    local shape = { unpack(batch) }
    shape[#shape + 1], shape[#shape + 2] = rows, columns
    return S.randn(shape)
  end
  return of(l, e), of(s, e), of(s, v or e)
end

local function args(mask, ...)
  local q, k, v = qkv(...)
  return { q, k, v, mask }
end

--- softmax(q k^T * scale + add) v as a chain of operations.
local function chain(m, q, k, v, add, keep)
  local scores = m.matmul(q, k:transpose(-2, -1)) * (1 / math.sqrt(q.shape[#q.shape]))
  if add then
    scores = scores + add
  end
  local w = m.softmax(scores, -1)
  return m.matmul(keep and w * keep or w, v)
end

local function close(m, a, b, tolerance)
  return m.allclose(a, b, { rtol = tolerance or 1e-4, atol = tolerance or 1e-5 })
end

--- Values and gradients with dropout equal those of the chain with the same weights dropped.
local function check_dropout(m, p)
  local shapes = { { { 2, 3, 5, 8 }, { 2, 3, 7, 8 } }, { { 1, 5, 16 }, { 1, 133, 16 } } }
  for _, shape in ipairs(shapes) do
    local q, k, v = m.randn(shape[1]), m.randn(shape[2]), m.randn(shape[2])
    local scores = { unpack(shape[1]) }
    scores[#scores] = shape[2][#shape[2] - 1]
    m.manual_seed(5)
    local keep = m.dropout(m.ones(scores), { p = p })
    local grads = {}
    for way = 1, 2 do
      local a, b, c = q:clone():requires_grad_(true), k:clone():requires_grad_(true),
        v:clone():requires_grad_(true)
      m.manual_seed(5)
      local y = way == 1 and m.nn.functional.scaled_dot_product_attention(a, b, c, { dropout_p = p })
        or chain(m, a, b, c, nil, keep)
      local weight = m.linspace(1, y:numel(), y:numel()):reshape(y.shape):sin()
      ;(y * weight):sum():backward()
      grads[way] = { y, a.grad, b.grad, c.grad }
    end
    for i = 1, 4 do
      assert(close(m, grads[1][i], grads[2][i], 1e-4), "dropout as of the weights")
    end
  end
end

--- A row that takes part in nothing gives 0, and no gradient.
local function check_masked_row(m)
  local q, k, v = m.randn { 2, 4, 8 }, m.randn { 2, 5, 8 }, m.randn { 2, 5, 8 }
  local mask = m.ones({ 4, 5 }, { dtype = "bool" })
  mask[2] = false
  local as_numbers = m.zeros { 4, 5 }
  as_numbers[2] = -math.huge
  for _, given in ipairs { mask, as_numbers } do
    local a, b = q:clone():requires_grad_(true), k:clone():requires_grad_(true)
    local y = m.scaled_dot_product_attention(a, b, v, given)
    assert(y:select(2, 2):abs():sum():item() == 0)
    y:sum():backward()
    assert(a.grad:select(2, 2):abs():sum():item() == 0)
    assert(m.isfinite(b.grad):all():item() and m.isfinite(a.grad):all():item())
  end
end

return {
  samples = {
    { args = args(nil, { 2, 3 }, 5, 7, 4) },
    { args = args(S.bool { 5, 7 }, { 2, 2 }, 5, 7, 8, 3), name = "bool mask, other width" },
    { args = args(S.randn { 2, 1, 5, 7 }, { 2, 3 }, 5, 7, 4), options = { scale = 0.7 },
      name = "mask of numbers that broadcasts" },
    { args = args(nil, { 3 }, 6, 6, 4), options = { is_causal = true }, name = "causal" },
    { args = args(nil, { 1 }, 70, 67, 4, 3), options = { is_causal = true },
      name = "causal, several tiles" },
    { args = args(S.randn { 6, 1 }, { 1 }, 6, 133, 17, 5), grad = { true, true, true, false },
      name = "odd sizes, mask of rows" },
    { args = args(S.randn { 2, 1, 69 }, { 2 }, 3, 69, 16), name = "mask of keys" },
    { args = args(nil, { 18 }, 3, 5, 4), name = "many matrices" },
    { args = { S.randn { 4, 8 }, S.randn { 5, 8 }, S.randn { 5, 6 } }, name = "no batch" },
    { args = { S.randn { 2, 1, 4, 8 }, S.randn { 3, 5, 8 }, S.randn { 5, 6 } },
      name = "batches that broadcast" },
    { args = args(nil, { 1, 1 }, 1, 1, 1), name = "sizes of 1" },
    { args = args(nil, { 0 }, 3, 4, 8), grad = false, name = "empty batch" },
    { args = args(nil, { 2 }, 0, 4, 8), grad = false, name = "no queries" },
    { args = args(nil, { 2 }, 3, 0, 8), grad = false, name = "no keys" },
    { args = args(nil, { 2 }, 3, 4, 8), grad = { false, true, false }, name = "gradient of k alone" },
  },
  errors = {
    { call = function(m) m.scaled_dot_product_attention(m.zeros { 8 }, m.zeros { 5, 8 }, m.zeros { 5, 8 }) end,
      message = "scaled_dot_product_attention: q has 1 dimension {8}; expected 2 or more" },
    { call = function(m) m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros { 5, 7 }, m.zeros { 5, 8 }) end,
      message = "scaled_dot_product_attention: q has 8 features, k 7 ({4, 8} and {5, 7})" },
    { call = function(m) m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros { 5, 8 }, m.zeros { 6, 8 }) end,
      message = "scaled_dot_product_attention: k has 5 positions, v 6 ({5, 8} and {6, 8})" },
    { call = function(m)
      m.scaled_dot_product_attention(m.zeros { 2, 4, 8 }, m.zeros { 3, 5, 8 }, m.zeros { 3, 5, 8 })
    end, message = "the batches of q {2, 4, 8}, k {3, 5, 8} and v {3, 5, 8} do not broadcast" },
    { call = function(m)
      m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros { 5, 8 }, m.zeros { 5, 8 }, m.zeros { 5, 4 })
    end, message = "attn_mask is {5, 4}; does not broadcast to the scores {4, 5}" },
    { call = function(m)
      m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros { 5, 8 }, m.zeros { 5, 8 },
        m.zeros({ 4, 5 }, { dtype = "int64" }))
    end, message = "attn_mask is int64; expected bool or float32", hint = 'attn_mask:to("bool")' },
    { call = function(m)
      m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros { 5, 8 }, m.zeros { 5, 8 },
        m.zeros({ 4, 5 }, { dtype = "bfloat16" }))
    end, message = "attn_mask is bfloat16; expected bool or float32", hint = 'attn_mask:to("float32")' },
    { call = function(m)
      m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros { 5, 8 }, m.zeros { 5, 8 }, m.zeros { 4, 5 },
        { is_causal = true })
    end, message = "attn_mask and is_causal are both given; expected one of them",
      hint = "attn_mask + mascon.full({4, 5}, -math.huge):triu(1)" },
    { call = function(m)
      m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros { 5, 8 }, m.zeros { 5, 8 },
        m.ones({ 4, 5 }, { dtype = "bool" }), { is_causal = true })
    end, message = "attn_mask and is_causal are both given; expected one of them",
      hint = "attn_mask:tril()" },
    { call = function(m)
      m.scaled_dot_product_attention(m.zeros { 4, 8 }, m.zeros({ 5, 8 }, { dtype = "float64" }), m.zeros { 5, 8 })
    end, message = "dtypes float32 and float64", hint = 'k:to("float32")' },
  },
  tolerance = { float32 = 1e-5, gradient = 4e-5 },
  check = function(m)
    for _, p in ipairs { 0.3, 1 } do
      check_dropout(m, p)
    end
    check_masked_row(m)
    local q, k, v = m.randn { 1, 130, 8 }, m.randn { 1, 70, 8 }, m.randn { 1, 70, 8 }
    local bool = m.rand({ 130, 70 }):gt(0.4)
    local add = m.where(bool, m.zeros { 130, 70 }, m.full({ 130, 70 }, -math.huge))
    assert(close(m, m.scaled_dot_product_attention(q, k, v, bool), chain(m, q, k, v, add)))
    local w = m.scaled_dot_product_attention(q * (0 / 0), k, v)
    assert(m.isnan(w):all():item(), "NaN stays")
    w = m.scaled_dot_product_attention(q * 1e4, k, v)
    assert(m.isfinite(w):all():item(), "large scores")
    assert(op.find "scaled_dot_product_attention_dropout" == nil, "hidden: F chooses it")
  end,
}

-- Samples of batch_norm_pool, and that it has the bits of the ops it joins.
local S = require "spec.support.sample"
local op = require "mascon.op"

local function full(shape)
  local c = shape[2]
  return { S.randn(shape), S.randn { c }, S.rand({ c }, 0.5, 2), S.randn { c }, S.randn { c } }
end

local NO_RUNNING = { true, false, false, true, true }

local function fused(...)
  return op.run("batch_norm_pool", "batch_norm_pool", false, ...)
end

--- The same by one op after the other. relu_mask: x is what relu made.
local function one_by_one(m, x, mean, var, weight, bias, o)
  local y = m.batch_norm(x, mean, var, weight, bias, { training = o.training, eps = o.eps })
  return m.dropout(m.max_pool2d(y, 2), { p = o.p })
end

--- Whether two tensors have the same bits, but for the sign of zero.
local function same(m, a, b)
  return m.allclose(a:to "float64", b:to "float64", { rtol = 0, atol = 0 })
end

--- Everything that a call makes: y, gradients of x, weight and bias, running statistics.
local function results(m, run, shape, dtype, o)
  local c = shape[2]
  local x = S.make(m, S.randn(shape), "float32", 3):relu():to(dtype)
  x = S.relayout(m, x, "nhwc"):requires_grad_(true)
  local weight = S.make(m, S.randn { c }, "float32", 4):requires_grad_(true)
  local bias = S.make(m, S.randn { c }, "float32", 5):requires_grad_(true)
  local mean, var = m.full({ c }, 0.5), m.full({ c }, 2)
  m.manual_seed(7)
  local y = run(x, mean, var, weight, bias, o)
  y:backward(S.relayout(m, S.make(m, S.randn(y.shape), "float32", 6):to(dtype), "nhwc"))
  return { y = y:detach(), dx = x.grad, dweight = weight.grad, dbias = bias.grad, mean = mean, var = var,
    next = m.rand { 2 }, x = x:detach() }
end

local function check_equal(m, shape, dtype, o)
  local want = results(m, function(...) return one_by_one(m, ...) end, shape, dtype, o)
  local got = results(m, fused, shape, dtype, o)
  for _, name in ipairs { "y", "dx", "dweight", "dbias", "mean", "var", "next" } do
    assert(same(m, got[name], want[name]), ("%s of %s differs"):format(name, dtype))
  end
  o.relu_mask = true
  got = results(m, fused, shape, dtype, o)
  local masked = m.where(want.x:gt(0), want.dx, m.zeros_like(want.dx))
  assert(same(m, got.dx, masked), "the mask of the relu before it")
  assert(same(m, got.dweight, want.dweight), "the mask changes no other gradient")
  o.relu_mask = nil
end

return {
  samples = {
    { args = full { 3, 4, 6, 4 }, options = { training = true }, grad = NO_RUNNING, name = "training" },
    { args = full { 2, 3, 5, 7 }, options = { training = true }, grad = NO_RUNNING,
      name = "odd sizes: the last row and column count for the statistics alone" },
    { args = full { 3, 4, 6, 4 }, grad = NO_RUNNING, name = "evaluation" },
    { args = full { 5, 32, 8, 8 }, options = { training = true, eps = 1e-3 }, grad = NO_RUNNING,
      name = "whole vectors" },
    { args = full { 2, 16, 2, 18 }, options = { training = true }, grad = NO_RUNNING, name = "one row" },
    { args = { S.randn { 2, 16, 4, 4 } }, options = { training = true }, name = "x alone" },
    { args = full { 2, 16, 4, 4 }, options = { training = true, p = 1 }, grad = NO_RUNNING,
      name = "p = 1 keeps none" },
    { args = full { 0, 16, 4, 4 }, options = { training = true }, grad = false, name = "empty batch" },
    { args = full { 2, 16, 4, 4 }, options = { training = true },
      grad = { false, false, false, true, false }, name = "gradient of the weight alone" },
    { args = { S.rand({ 2, 16, 4, 4 }, 0.1, 2), S.randn { 16 }, S.rand({ 16 }, 0.5, 2), S.randn { 16 } },
      options = { training = true, relu_mask = true }, grad = { true, false, false, true },
      name = "a relu that let everything through" },
  },
  errors = {
    { call = function(m) fused(m.zeros { 2, 3, 1, 4 }, { training = true }) end,
      message = "batch_norm_pool: input is {2, 3, 1, 4}; expected 4 dimensions" },
    { call = function(m) fused(m.zeros { 2, 3, 4, 4 }) end,
      message = "batch_norm_pool: running_mean and running_var are missing" },
  },
  tolerance = { float32 = 3e-6, gradient = 2e-5 },
  -- rounded elements of a window may be equal, and then the first one has the gradient
  half = { bfloat16 = { gradient = 0.25 } },
  check = function(m)
    for _, dtype in ipairs { "float32", "bfloat16" } do
      for _, shape in ipairs { { 4, 32, 32, 32 }, { 6, 64, 16, 16 }, { 32, 16, 2, 2 }, { 5, 80, 6, 10 },
        { 3, 288, 4, 4 }, { 7, 48, 10, 14 } } do
        for _, p in ipairs { 0, 0.25 } do
          check_equal(m, shape, dtype, { training = true, p = p })
        end
      end
      check_equal(m, { 4, 32, 8, 8 }, dtype, { training = false, p = 0.5 })
    end
    local threads = m.get_num_threads()
    local made = {}
    for n = 1, 4 do
      m.set_num_threads(n)
      made[n] = results(m, fused, { 8, 48, 16, 16 }, "float32", { training = true, p = 0.3 })
    end
    m.set_num_threads(threads)
    for n = 2, 4 do
      for _, name in ipairs { "y", "dx", "dweight", "dbias", "mean", "var" } do
        assert(same(m, made[n][name], made[1][name]), "the number of threads changes no bit")
      end
    end
  end,
}

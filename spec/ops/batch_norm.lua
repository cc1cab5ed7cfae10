-- Samples of batch_norm, and checks of its running statistics.
local S = require "spec.support.sample"
local op = require "mascon.op"

--- Arguments with running statistics, weight and bias for c channels.
local function full(shape)
  local c = shape[2]
  return { S.randn(shape), S.randn { c }, S.rand({ c }, 0.5, 2), S.randn { c }, S.randn { c } }
end

local NO_RUNNING = { true, false, false, true, true }

local function close(m, a, b, tolerance)
  return m.allclose(a:to "float64", b:to "float64", { rtol = tolerance, atol = tolerance })
end

--- A vector of c elements that do not lie one behind the other.
local function strided(m, t)
  local v = m.zeros({ t:size(1), 2 }, { dtype = t.dtype }):select(2, 1)
  v:copy_(t)
  return v
end

local function check_running(m, shape, dtype, layout)
  local c = shape[2]
  local x = S.relayout(m, S.make(m, S.randn(shape), dtype, 3), layout)
  local mean, var = strided(m, m.randn({ c }, { dtype = dtype })), m.rand({ c }, { dtype = dtype })
  local want_mean, want_var = mean:clone(), var:clone()
  local rows = x:transpose(1, 2):reshape { c, -1 }
  want_mean = want_mean * 0.7 + rows:mean(2) * 0.3
  want_var = want_var * 0.7 + rows:var(2) * 0.3
  m.batch_norm(x, mean, var, { training = true, momentum = 0.3 })
  local tolerance = dtype == "float32" and 1e-5 or 1e-12
  assert(close(m, mean, want_mean, tolerance), "the running mean moves by the momentum")
  assert(close(m, var, want_var, tolerance), "the running variance is unbiased")
  local kept = mean:clone()
  m.batch_norm(x, mean, var)
  assert(close(m, mean, kept, 0), "evaluation leaves them alone")
end

--- relu_mask gives the gradient of relu -> batch_norm in one go.
local function check_relu_mask(m, shape, dtype, layout)
  local before = S.relayout(m, S.make(m, S.randn(shape), dtype, 5), layout)
  local weight = m.rand({ shape[2] }, { dtype = dtype }) + 0.5
  local leaf = before:clone():requires_grad_(true)
  local x = leaf:relu()
  local y = m.batch_norm(x, nil, nil, weight, { training = true })
  local dy = S.make(m, S.randn(shape), dtype, 7)
  y:backward(dy)
  local rows = x:detach():transpose(1, 2):reshape { shape[2], -1 }
  local mean, rstd = rows:mean(2), (rows:var(2, { correction = 0 }) + 1e-5):rsqrt()
  local dx = op.run("batch_norm_bwd", "batch_norm_bwd", false, dy, x:detach(), mean, rstd, weight,
    { training = true, relu_mask = true })
  assert(close(m, dx, leaf.grad, dtype == "float32" and 1e-5 or 1e-12), "dx is 0 where x is 0")
end

local function check_threads(m, shape, layout)
  local threads = m.get_num_threads and m.get_num_threads() or 2
  local results = {}
  for i, n in ipairs { 1, 2, 3 } do
    m.set_num_threads(n)
    local x = S.relayout(m, S.make(m, S.randn(shape), "float32", 3), layout):requires_grad_(true)
    local y = m.batch_norm(x, { training = true })
    y:backward(S.make(m, S.randn(shape), "float32", 4))
    results[i] = { y:detach(), x.grad }
  end
  m.set_num_threads(threads)
  for i = 2, 3 do
    assert(close(m, results[i][1], results[1][1], 0), "the number of threads changes no bit")
    assert(close(m, results[i][2], results[1][2], 0), "the number of threads changes no bit")
  end
end

return {
  samples = {
    { args = full { 4, 3, 5, 6 }, options = { training = true }, grad = NO_RUNNING,
      name = "training" },
    { args = full { 4, 3, 5, 6 }, grad = NO_RUNNING, name = "evaluation" },
    { args = { S.randn { 3, 5, 4, 4 } }, options = { training = true }, name = "x alone" },
    { args = full { 7, 5 }, options = { training = true, eps = 1e-3 }, grad = NO_RUNNING,
      name = "2 dimensions" },
    { args = full { 3, 19, 7 }, options = { training = true }, grad = NO_RUNNING,
      name = "3 dimensions" },
    { args = full { 2, 4, 3, 2, 3 }, options = { training = true }, grad = NO_RUNNING,
      name = "5 dimensions" },
    { args = full { 33, 37 }, options = { training = true }, grad = NO_RUNNING,
      name = "odd number of channels" },
    { args = full { 5, 67, 9, 11 }, options = { training = true }, grad = NO_RUNNING,
      name = "several slices" },
    { args = full { 2, 115, 4, 4 }, grad = NO_RUNNING, name = "many channels, evaluation" },
    { args = full { 1, 1, 1, 4 }, options = { training = true }, grad = NO_RUNNING,
      name = "4 values" },
    { args = full { 1, 3, 1, 1 }, grad = NO_RUNNING, name = "1 value in evaluation" },
    { args = full { 0, 3, 4, 4 }, options = { training = true }, grad = false, name = "empty batch" },
    { args = { S.randn { 4, 3, 5, 6 }, S.randn { 3 }, S.rand({ 3 }, 0.5, 2) },
      grad = { true, false, false }, name = "no weight" },
    { args = full { 4, 3, 5, 6 }, options = { training = true }, grad = { false, false, false, true },
      name = "gradient of the weight alone" },
    { args = full { 4, 3, 5, 6 }, options = { training = true }, grad = { true, false, false, false },
      name = "gradient of the input alone" },
  },
  errors = {
    { call = function(m) m.batch_norm(m.zeros { 1, 64 }, { training = true }) end,
      message = "batch_norm: 1 value per channel in training mode; needs 2 or more; input {1, 64}",
      hint = "last batch? use drop_last, or model:eval()" },
    { call = function(m) m.batch_norm(m.zeros { 4, 3, 2, 2 }) end,
      message = "batch_norm: running_mean and running_var are missing", hint = "training = true" },
    { call = function(m) m.batch_norm(m.zeros { 4, 3, 2, 2 }, m.zeros { 3 }, { training = true }) end,
      message = "batch_norm: running_var is missing: both running statistics or none" },
    { call = function(m) m.batch_norm(m.zeros { 4, 3, 2, 2 }, m.zeros { 4 }, m.ones { 4 }) end,
      message = "batch_norm: running_mean is {4}; expected {3}, one per channel" },
    { call = function(m)
        m.batch_norm(m.zeros { 4, 3 }, m.zeros { 3 }, m.ones { 3 }, m.ones { 1, 3 })
      end,
      message = "batch_norm: weight is {1, 3}; expected {3}, one per channel" },
    { call = function(m) m.batch_norm(m.zeros { 64 }, { training = true }) end,
      message = "batch_norm: input has 1 dimension {64}; expected {batch, channels, ...}",
      hint = "x:unsqueeze(1)" },
    { call = function(m)
        m.batch_norm(m.zeros { 4, 3 }, m.zeros({ 3 }, { dtype = "float64" }), m.ones { 3 })
      end,
      message = "batch_norm: dtypes float32 and float64", hint = 'running_mean:to("float32")' },
    { call = function(m)
        m.batch_norm(m.randn { 4, 3 }, m.zeros { 1 }:expand(3), m.ones { 3 }, { training = true })
      end,
      message = "batch_norm: running_mean is an expanded tensor and cannot be written",
      hint = "running_mean:clone()" },
    { call = function(m)
        m.batch_norm(m.randn { 4, 3 }, m.zeros({ 3 }, { requires_grad = true }), m.ones { 3 },
          { training = true })
      end,
      message = "batch_norm: running_mean has no gradient", hint = "running_mean:detach()" },
    { call = function(m) m.batch_norm(m.randn { 4, 3 }, { training = true, momentum = 2 }) end,
      message = "batch_norm: momentum is 2; must be in [0, 1]" },
  },
  tolerance = { float32 = 3e-6, gradient = 2e-5 },
  check = function(m)
    for _, dtype in ipairs { "float32", "float64" } do
      for _, shape in ipairs { { 6, 5 }, { 3, 20, 4, 5 }, { 9, 35, 8, 7 } } do
        for _, layout in ipairs { "row", "view", "nhwc" } do
          check_running(m, shape, dtype, layout)
          check_relu_mask(m, shape, dtype, layout)
        end
      end
    end
    check_threads(m, { 32, 40, 12, 12 }, "nhwc")
    check_threads(m, { 32, 40, 12, 12 }, "row")
    check_threads(m, { 300, 50 }, "row")
    local mean, var = m.full({ 3 }, 0.25), m.full({ 3 }, 4)
    m.batch_norm(m.zeros { 0, 3, 4, 4 }, mean, var, { training = true })
    assert(close(m, mean, m.full({ 3 }, 0.25), 0) and close(m, var, m.full({ 3 }, 4), 0),
      "an empty batch leaves the statistics untouched")
    -- a mean far from 0 costs no digits
    local x = m.randn { 32, 32, 8, 8 }
    local y = m.batch_norm(x + 4096, { training = true })
    local want = m.batch_norm((x + 4096):to "float64", { training = true })
    assert(close(m, y, want, 1e-4), "a mean far from 0")
    -- a write is a write: what a graph saved before may not change
    local leaf = m.ones({ 3 }, { requires_grad = true })
    local product = (leaf * mean):sum()
    m.batch_norm(m.randn { 4, 3 }, mean, var, { training = true })
    assert(not pcall(product.backward, product), "the versions of the running statistics moved")
  end,
}

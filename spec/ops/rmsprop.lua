-- Checks of rmsprop, which takes a list of groups of tensors (params, grads, square_avg, where centered
-- grad_avg and, with momentum, momentum_buffer) and writes them: against the update written in Lua.
local S = require "spec.support.sample"

local shapes = { { 3, 5 }, { 7 }, {}, { 0, 2 }, { 4, 3, 3, 3 }, { 2, 17, 5, 5 } }

--- One element, as { parameter, gradient, mean square, mean gradient or momentum, momentum }: the same
-- after.
local function update(o, e)
  local p, g, square = e[1], e[2], e[3]
  local alpha = o.alpha or 0.99
  local mean = o.centered and e[4]
  local momentum = o.momentum and e[o.centered and 5 or 4]
  g = (o.maximize and -g or g) + (o.weight_decay or 0) * p
  square = alpha * square + (1 - alpha) * g * g
  local spread = square
  if mean then
    mean = alpha * mean + (1 - alpha) * g
    spread = math.max(0, square - mean * mean)
  end
  local d = g / (math.sqrt(spread) + (o.eps or 1e-8))
  if momentum then
    momentum = o.momentum * momentum + d
    d = momentum
  end
  local after = { p - o.lr * d, e[2], square }
  after[#after + 1] = mean or nil
  after[#after + 1] = momentum or nil
  return after
end

local cases = {
  { lr = 0.01 },
  { lr = 0.01, alpha = 0.9, eps = 1e-3, weight_decay = 0.1, maximize = true },
  { lr = 0.01, momentum = 0.9, eps = 0.01 },
  { lr = 0.01, centered = true, eps = 0.01 },
  { lr = 0.01, centered = true, momentum = 0.5, weight_decay = 0.1, eps = 0.01 },
}

--- n groups of tensors as one list; mean squares are above the mean gradients' squares.
local function make(m, n, dtype, layout, centered)
  local list = {}
  for group = 1, n do
    for i, shape in ipairs(shapes) do
      -- parameters and gradients may lie differently
      local lay = layout == "mixed" and (group == 2 and "row" or "nhwc") or layout
      local d = group == 3 and S.rand(shape, 1, 2) or group == 4 and centered and S.rand(shape, -0.5, 0.5)
        or S.randn(shape)
      list[#list + 1] = S.relayout(m, S.make(m, d, dtype, 100 * group + i), lay)
    end
  end
  return list
end

local function values(t)
  return t:numel() > 0 and t:to("float64"):reshape(-1):totable() or {}
end

local function read(list)
  local all = {}
  for i, t in ipairs(list) do
    all[i] = values(t)
  end
  return all
end

local function check_case(m, o, dtype, layout, allowed)
  local n = 3 + (o.centered and 1 or 0) + (o.momentum and 1 or 0)
  local list = make(m, n, dtype, layout, o.centered)
  local before = read(list)
  m.rmsprop(list, o)
  local after = read(list)
  for i = 1, #shapes do
    for k = 1, #before[i] do
      local e = {}
      for group = 1, n do
        e[group] = before[(group - 1) * #shapes + i][k]
      end
      local want = update(o, e)
      for group = 1, n do
        local got = after[(group - 1) * #shapes + i][k]
        assert(math.abs(got - want[group]) <= allowed * (1 + math.abs(want[group])), "group " .. group)
      end
    end
  end
end

--- Equal gradients for long: the distance from their mean must not fall below 0.
local function check_equal_gradients(m)
  local list = { m.zeros { 37 }, m.full({ 37 }, 0.3), m.zeros { 37 }, m.zeros { 37 } }
  for _ = 1, 400 do
    m.rmsprop(list, { lr = 1e-6, centered = true, alpha = 0.9, eps = 1 })
  end
  assert(m.isfinite(list[1]):all():item(), "a step of equal gradients is not finite")
end

return {
  samples = {},
  errors = {
    { call = function(m) m.rmsprop({ m.zeros { 3 }, m.zeros { 3 }, m.zeros { 3 } }, { lr = -1 }) end,
      message = "rmsprop: lr is -1; must be 0 or more" },
    { call = function(m)
        local x = m.zeros { 3 }
        m.rmsprop({ x, x, x, x }, { lr = 1 })
      end,
      message = "rmsprop: 4 tensors given; expected 3 groups of equal length" },
    { call = function(m)
        local x = m.zeros { 3 }
        m.rmsprop({ x, x, x, m.zeros { 4 } }, { lr = 1, momentum = 0.5 })
      end,
      message = "rmsprop: momentum_buffer 1 is {4}, the parameter is {3}" },
  },
  check = function(m)
    for _, o in ipairs(cases) do
      for _, layout in ipairs { "row", "view", "nhwc", "mixed" } do
        check_case(m, o, "float64", layout, 1e-13)
        check_case(m, o, "float32", layout, 2e-6)
      end
    end
    check_equal_gradients(m)
  end,
}

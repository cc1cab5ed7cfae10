-- Checks of adam, which takes a list of groups of tensors (params, grads, exp_avg, exp_avg_sq and, with
-- amsgrad, max_exp_avg_sq) and writes them: against the update written in Lua.
local S = require "spec.support.sample"

local shapes = { { 3, 5 }, { 7 }, {}, { 0, 2 }, { 4, 3, 3, 3 }, { 2, 17, 5, 5 } }

--- One element, as { parameter, gradient, mean, mean square, largest mean square }: the same after.
local function update(o, e)
  local p, g, mean, square, most = unpack(e)
  local beta1, beta2 = o.beta1 or 0.9, o.beta2 or 0.999
  local decay = o.weight_decay or 0
  g = o.maximize and -g or g
  if o.decoupled then
    p = p * (1 - o.lr * decay)
  else
    g = g + decay * p
  end
  mean = beta1 * mean + (1 - beta1) * g
  square = beta2 * square + (1 - beta2) * g * g
  most = most and math.max(most, square)
  local root = math.sqrt(most or square) / math.sqrt(1 - beta2 ^ o.step)
  p = p - o.lr / (1 - beta1 ^ o.step) * mean / (root + (o.eps or 1e-8))
  return { p, e[2], mean, square, most }
end

local cases = {
  { lr = 0.01, step = 1 },
  { lr = 0.01, step = 7, weight_decay = 0.1, maximize = true },
  { lr = 0.01, step = 7, weight_decay = 0.1, decoupled = true },
  { lr = 0.01, step = 3, beta1 = 0.8, beta2 = 0.9, eps = 1e-6, amsgrad = true },
}

--- n groups of tensors as one list; means of squares are not negative.
local function make(m, n, dtype, layout)
  local list = {}
  for group = 1, n do
    for i, shape in ipairs(shapes) do
      -- parameters and gradients may lie differently
      local lay = layout == "mixed" and (group == 2 and "row" or "nhwc") or layout
      local d = group > 3 and S.rand(shape, 0.1, 1) or S.randn(shape)
      list[#list + 1] = S.relayout(m, S.make(m, d, dtype, 100 * group + i), lay)
    end
  end
  return list
end

local function values(t)
  return t:numel() > 0 and t:to("float64"):reshape(-1):totable() or {}
end

--- The values of all tensors of a list, in its order.
local function read(list)
  local all = {}
  for i, t in ipairs(list) do
    all[i] = values(t)
  end
  return all
end

local function check_case(m, o, dtype, layout, allowed)
  local n = o.amsgrad and 5 or 4
  local list = make(m, n, dtype, layout)
  local before = read(list)
  m.adam(list, o)
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

return {
  samples = {},
  errors = {
    { call = function(m)
        local x = m.zeros { 3 }
        m.adam({ x, x, x, x }, { lr = 1, step = 1, beta1 = 1 })
      end,
      message = "adam: beta1 is 1; must be at least 0 and below 1" },
    { call = function(m)
        local x = m.zeros { 3 }
        m.adam({ x, x, x, x, x }, { lr = 1, step = 1 })
      end,
      message = "adam: 5 tensors given; expected 4 groups of equal length" },
    { call = function(m)
        local x = m.zeros { 3 }
        m.adam({ x, x, x, x }, { lr = 1 })
      end,
      message = "adam: option step is missing" },
  },
  check = function(m)
    for _, o in ipairs(cases) do
      for _, layout in ipairs { "row", "view", "nhwc", "mixed" } do
        check_case(m, o, "float64", layout, 1e-13)
        check_case(m, o, "float32", layout, 2e-6)
      end
    end
  end,
}

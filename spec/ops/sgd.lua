-- Checks of sgd, which takes a list of groups of tensors (params, grads and, with momentum, momenta)
-- and writes them: against the update written in Lua.
local S = require "spec.support.sample"

local shapes = { { 3, 5 }, { 7 }, {}, { 0, 2 }, { 4, 3, 3, 3 }, { 2, 17, 5, 5 } }

--- One element: parameter, gradient and momentum before; parameter and momentum after.
local function update(o, p, g, b)
  g = (o.maximize and -g or g) + (o.weight_decay or 0) * p
  if o.momentum then
    b = o.first and g or o.momentum * b + (1 - (o.dampening or 0)) * g
    g = o.nesterov and g + o.momentum * b or b
  end
  return p - o.lr * g, b
end

local cases = {
  { lr = 0.1 },
  { lr = 0.1, weight_decay = 0.01, maximize = true },
  { lr = 0.1, momentum = 0.9, first = true },
  { lr = 0.1, momentum = 0.9, dampening = 0.3 },
  { lr = 0.1, momentum = 0.9, weight_decay = 0.1, nesterov = true },
}

--- n groups of tensors as one list.
local function make(m, n, dtype, layout)
  local list = {}
  for group = 1, n do
    for i, shape in ipairs(shapes) do
      -- parameters and gradients may lie differently
      local lay = layout == "mixed" and (group == 2 and "row" or "nhwc") or layout
      list[#list + 1] = S.relayout(m, S.make(m, S.randn(shape), dtype, 100 * group + i), lay)
    end
  end
  return list
end

local function values(t)
  return t:numel() > 0 and t:to("float64"):reshape(-1):totable() or {}
end

local function check_case(m, o, dtype, layout, allowed)
  local n = o.momentum and 3 or 2
  local list, before = make(m, n, dtype, layout), {}
  for i, t in ipairs(list) do
    before[i] = values(t)
  end
  m.sgd(list, o)
  for i = 1, #shapes do
    local params = values(list[i])
    local momenta = o.momentum and values(list[2 * #shapes + i]) or {}
    for k = 1, #params do
      local p, b = update(o, before[i][k], before[#shapes + i][k],
        o.momentum and before[2 * #shapes + i][k])
      assert(math.abs(params[k] - p) <= allowed * (1 + math.abs(p)), "parameter")
      assert(not b or math.abs(momenta[k] - b) <= allowed * (1 + math.abs(b)), "momentum")
    end
  end
end

return {
  samples = {},
  errors = {
    { call = function(m) m.sgd({ m.zeros { 3 }, m.zeros { 3 } }, { lr = -1 }) end,
      message = "sgd: lr is -1; must be 0 or more" },
    { call = function(m) m.sgd({ m.zeros { 3 }, m.zeros { 3 } }, { lr = 1, nesterov = true }) end,
      message = "sgd: nesterov needs a momentum above 0 and no dampening; momentum is 0, dampening is 0" },
    { call = function(m) m.sgd({ m.zeros { 3 }, m.zeros { 3 }, m.zeros { 3 } }, { lr = 1 }) end,
      message = "sgd: 3 tensors given; expected 2 groups of equal length" },
    { call = function(m) m.sgd({ m.zeros { 3 }, m.zeros { 4 } }, { lr = 1 }) end,
      message = "sgd: grads 1 is {4}, the parameter is {3}" },
  },
  check = function(m)
    for _, o in ipairs(cases) do
      for _, layout in ipairs { "row", "view", "nhwc", "mixed" } do
        check_case(m, o, "float64", layout, 1e-14)
        check_case(m, o, "float32", layout, 1e-6)
      end
    end
  end,
}

-- Checks of clip_grad_norm, which takes a list of tensors of any shapes, writes them and gives their norm.
local S = require "spec.support.sample"

local shapes = { { 3, 5 }, { 7 }, {}, { 0, 2 }, { 4, 3, 3, 3 }, { 2, 17, 5, 5 }, { 40000 } }

local function make(m, dtype, layout)
  local list = {}
  for i, shape in ipairs(shapes) do
    list[i] = S.relayout(m, S.make(m, S.randn(shape), dtype, 10 + i), layout)
  end
  return list
end

local function values(list)
  local all = {}
  for i, t in ipairs(list) do
    all[i] = t:numel() > 0 and t:to("float64"):reshape(-1):totable() or {}
  end
  return all
end

local function norm_of(all, p)
  local sum = 0
  for _, list in ipairs(all) do
    for _, v in ipairs(list) do
      sum = p == math.huge and math.max(sum, math.abs(v)) or sum + math.abs(v) ^ p
    end
  end
  return p == math.huge and sum or sum ^ (1 / p)
end

local function check_case(m, dtype, layout, p, max_norm, allowed)
  local list = make(m, dtype, layout)
  local before = values(list)
  local norm = m.clip_grad_norm(list, { max_norm = max_norm, norm_type = p })
  local want = norm_of(before, p)
  assert(math.abs(norm:item() - want) <= allowed * want, "norm")
  local share = math.min(1, max_norm / (want + 1e-6))
  for i, after in ipairs(values(list)) do
    for k, v in ipairs(after) do
      local w = share * before[i][k]
      assert(share == 1 and v == w or math.abs(v - w) <= allowed * (1 + math.abs(w)), "gradient")
    end
  end
end

return {
  samples = {},
  errors = {
    { call = function(m) m.clip_grad_norm({ m.zeros { 3 } }, { max_norm = -1 }) end,
      message = "clip_grad_norm: max_norm is -1; must be 0 or more" },
    { call = function(m) m.clip_grad_norm({ m.zeros { 3 } }, { max_norm = 1, norm_type = 0 }) end,
      message = "clip_grad_norm: norm_type is 0; must be above 0" },
    { call = function(m)
        m.clip_grad_norm({ m.zeros { 3 }, m.zeros({ 3 }, { dtype = "float64" }) }, { max_norm = 1 })
      end,
      message = "clip_grad_norm: gradient 2 is float64, the first one is float32" },
    { call = function(m) m.clip_grad_norm({ m.zeros({ 1 }):expand { 4 } }, { max_norm = 1 }) end,
      message = "clip_grad_norm: gradient 1 is expanded; its elements share memory" },
  },
  check = function(m)
    for _, p in ipairs { 2, 1, 3.5, math.huge } do
      for _, layout in ipairs { "row", "view", "nhwc" } do
        for _, max_norm in ipairs { 1.5, 1e6, 0 } do
          check_case(m, "float64", layout, p, max_norm, 1e-12)
          check_case(m, "float32", layout, p, max_norm, 1e-6)
        end
      end
    end
    local list = { m.tensor { 1, 0 / 0 }, m.tensor { 3 } }
    local norm = m.clip_grad_norm(list, { max_norm = 1 })
    assert(norm:item() ~= norm:item() and m.isnan(list[2]):all():item(), "NaN goes on")
  end,
}

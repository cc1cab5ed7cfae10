-- copy.lua: samples and errors of copy.
local S = require "spec.support.sample"

-- The source gets the gradient, summed over what was broadcast; the old values get none.
local function check(m)
  local x = m.ones({ 3 }, { requires_grad = true })
  local source = m.ones({ 3 }, { requires_grad = true })
  local y = x:clone():unsqueeze(1):expand(2, 3):clone()
  y:copy_(source)
  y:sum():backward()
  local g = source.grad:totable()
  assert(g[1] == 2 and g[2] == 2 and g[3] == 2, "gradient of the source")
  assert(x.grad == nil or x.grad:sum():item() == 0, "gradient of the old values")
end

return {
  samples = {
    { args = { S.randn{2, 3, 4}, S.randn{2, 3, 4} }, grad = { false } },
    { args = { S.randn{2, 3, 4}, S.randn{3, 1} }, grad = { false } },
    { args = { S.randn{2, 3, 4, 5}, S.randn{2, 3, 4, 5} }, grad = { false } },
    { args = { S.randn{0, 3}, S.randn{3} }, grad = { false } },
    { args = { S.randn{5}, S.int({5}, -3, 3, "int64") }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{3}:copy_(m.zeros{2, 3}) end,
      message = "copy_: source {2, 3} does not fit into x {3}" },
    { call = function(m) return m.zeros{2, 3}:copy_(m.zeros{2}) end,
      message = "copy_: shapes {2, 3} and {2} do not broadcast; dimension 2 is 3 against 2" },
  },
  check = check,
}

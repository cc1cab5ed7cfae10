-- fill.lua: samples and errors of fill.
local S = require "spec.support.sample"

local function check(m)
  local x = m.zeros { 3, 4 }
  x:narrow(2, 2, 2):fill_(5)
  assert(x:sum():item() == 30, "only the view is filled")
end

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { value = 3 }, grad = false },
    { args = { S.randn{2, 3, 4, 5} }, options = { value = -0.5 }, grad = false },
    { args = { S.randn{0, 2} }, options = { value = 1 }, grad = false },
    { args = { S.int({3, 2}, 1, 9, "int64") }, options = { value = 7 }, grad = false },
    { args = { S.bool{5} }, options = { value = 1 }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros({2}, { dtype = "uint8" }):fill_(-1) end,
      message = "fill_: value is -1; uint8 holds 0..255" },
  },
  check = check,
}

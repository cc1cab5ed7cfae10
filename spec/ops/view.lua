-- view.lua: samples and errors of view: samples keep to shapes that every layout allows.
local S = require "spec.support.sample"

-- A view shares memory, and a view of a part works from its strides.
local function check(m)
  local x = m.arange(0, 12):view(3, 4)
  x:view(12):narrow(1, 1, 1):fill_(50)
  assert(x[1][1]:item() == 50, "a view shares memory")
  local part = x:narrow(1, 2, 2):view(8)
  assert(part[1]:item() == 4 and part[8]:item() == 11, "view of rows")
  local columns = x:narrow(2, 1, 2):view(3, 2, 1)
  assert(columns[3][2][1]:item() == 9, "view of columns")
end

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { shape = {2, 3, 4} } },
    { args = { S.randn{2, 3, 4} }, options = { shape = {2, 1, 3, 1, 4} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { shape = {2, 3, 4, 5, 1} } },
    { args = { S.randn{} }, options = { shape = {1, 1} } },
    { args = { S.randn{0, 3} }, options = { shape = {3, 0} } },
    { args = { S.randn{4, 1, 3} }, options = { shape = {1, 4, -1} } },
  },
  errors = {
    { call = function(m) return m.zeros{20}:view{7, -1} end,
      message = "view: 20 elements do not divide by 7" },
    { call = function(m) return m.zeros{20}:view{-1, -1} end,
      message = "view: only one size may be -1" },
    { call = function(m) return m.zeros{20}:view{3, 4} end,
      message = "view: 20 elements do not fit the shape {3, 4}" },
    { call = function(m) return m.zeros{2, 3}:t():view{6} end,
      message = "view: tensor {3, 2} is not contiguous (strides 1, 3)",
      hint = "x:reshape or x:contiguous():view" },
  },
  check = check,
}

-- sort.lua: samples and errors of sort.
local S = require "spec.support.sample"

-- Equal values keep their order; NaN counts as the largest.
local function check(m)
  local values, indices = m.tensor { 2, 0 / 0, 1, 2 }:sort()
  values, indices = values:totable(), indices:totable()
  assert(values[1] == 1 and values[3] == 2 and values[4] ~= values[4], "values")
  assert(indices[1] == 3 and indices[2] == 1 and indices[3] == 4 and indices[4] == 2, "indices")
end

return {
  samples = {
    { args = { S.randn{2, 3, 4} } },
    { args = { S.randn{2, 3, 4} }, options = { dim = 1, descending = true } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 2 } },
    { args = { S.randn{} } },
    { args = { S.randn{0, 3} }, options = { dim = 1 } },
    { args = { S.int({20}, 1, 5, "int64") } },
    { args = { S.int({20}, 1, 5, "int64") }, options = { descending = true } },
    { args = { S.randn{130} }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{3}:sort(2) end,
      message = "sort: dimension 2 of a 1-dimensional tensor" },
  },
  check = check,
}

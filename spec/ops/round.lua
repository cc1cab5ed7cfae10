-- round.lua: samples and errors of round.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -5, 5) } },
    { args = { S.rand({2, 3, 4, 5}, -5, 5) } },
    { args = { S.rand({}, -5, 5) } },
    { args = { S.rand({0, 3}, -5, 5) } },
    { args = { S.rand({1}, -5, 5) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -5, 5) } },
    { args = { S.rand({7, 1, 9}, -5, 5) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -5, 5) }, grad = false },
    { args = { S.int({4, 3}, 1, 5, "int64") }, grad = false },
    { args = { S.int({5}, 1, 3, "int32") }, grad = false },
  },
  errors = {
    { call = function(m) return m.round(2) end,
      message = "round: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    assert.same({ -2, 0, 0, 2, 2 }, m.round(m.tensor { -2.5, -0.5, 0.5, 1.5, 2.5 }):totable())
  end,
}

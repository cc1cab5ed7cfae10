-- where.lua: samples and errors of where.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.bool{3, 4}, S.randn{3, 4}, S.randn{3, 4} } },
    { args = { S.bool{3, 4}, S.randn{4}, S.randn{3, 1} } },
    { args = { S.bool{4}, S.randn{3, 4}, S.randn{1} } },
    { args = { S.bool{}, S.randn{2, 3}, S.randn{3} } },
    { args = { S.bool{2, 3, 4, 5}, S.randn{2, 3, 4, 5}, S.randn{2, 3, 4, 5} } },
    { args = { S.bool{2, 3, 4, 5}, S.randn{3, 1, 1}, S.randn{} } },
    { args = { S.bool{0, 3}, S.randn{3}, S.randn{1, 3} } },
    { args = { S.bool{2, 1, 3, 2, 2}, S.randn{3, 1, 2}, S.randn{2} } },
    { args = { S.bool{5, 20, 33, 21}, S.randn{5, 20, 33, 21}, S.randn{20, 1, 1} }, grad = false },
    { args = { S.bool{2, 3}, S.randn{2, 3} }, options = { value = 2.5 } },
    { args = { S.bool{2, 3}, S.randn{3} }, options = { value = 2.5, swap = true } },
    { args = { S.bool{6}, S.int({6}, 1, 9, "int64"), S.int({6}, 1, 9, "int32") }, grad = false },
    { args = { S.bool{6}, S.int({6}, 1, 9, "int64"), S.randn{6} }, grad = { false, false, true } },
  },
  errors = {
    { call = function(m) return m.where(m.zeros{2}, m.zeros{2}, m.zeros{2}) end,
      message = "where: condition is float32; expected bool",
      hint = 'condition:ne(0)' },
    { call = function(m) return m.where(m.zeros{2}:gt(0), m.zeros{3}, m.zeros{3}) end,
      message = "where: shapes {2} and {3} do not broadcast; dimension 1 is 2 against 3" },
    { call = function(m) return m.where(m.zeros{2}:gt(0), m.zeros({ 2 }, { dtype = "uint8" }), -1) end,
      message = "where: value is -1; uint8 holds 0..255" },
  },
}

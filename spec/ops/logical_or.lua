-- logical_or.lua: samples and errors of logical_or.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.bool{3, 4}, S.bool{3, 4} }, grad = false },
    { args = { S.bool{2, 3, 4, 5}, S.bool{3, 1, 1} }, grad = false },
    { args = { S.bool{0}, S.bool{1} }, grad = false },
    { args = { S.int({9}, 0, 1, "int64"), S.bool{9} }, grad = false },
    { args = { S.randn{2, 3}, S.randn{3} }, grad = false },
  },
  errors = {
    { call = function(m) return m.logical_or(m.zeros{2, 3}, m.zeros{4, 3}) end,
      message = "logical_or: shapes {2, 3} and {4, 3} do not broadcast; dimension 1 is 2 against 4" },
    { call = function(m) return m.logical_or(m.zeros{2}) end,
      message = "logical_or: argument 2 (y) is missing" },
    { call = function(m) return m.logical_or(m.zeros{2}, m.zeros{2}, { other = 1 }) end,
      message = "logical_or: both y and the number other = 1 are given; expected one of them" },
  },
}

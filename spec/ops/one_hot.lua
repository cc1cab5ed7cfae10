-- one_hot.lua: samples and errors of one_hot.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.int({5}, 1, 4, "int64") }, options = { num_classes = 4 } },
    { args = { S.int({2, 3}, 1, 4, "int64") }, options = { num_classes = 6 } },
    { args = { S.int({5}, 1, 4, "int64") } },
    { args = { S.int({0}, 1, 4, "int64") }, options = { num_classes = 3 } },
    { args = { S.int({}, 1, 2, "int64") }, options = { num_classes = 2 } },
  },
  errors = {
    { call = function(m) return m.one_hot(m.tensor({ 1, 4 }, { dtype = "int64" }), 3) end,
      message = "one_hot: index 2 of 2 is 4; classes run 1..3" },
    { call = function(m) return m.one_hot(m.tensor({ 0 }, { dtype = "int64" }), 3) end,
      message = "one_hot: index 1 of 1 is 0; classes run 1..3",
      hint = "positions counted from 0? add 1" },
    { call = function(m) return m.one_hot(m.tensor({ 0 }, { dtype = "int64" })) end,
      message = "one_hot: the largest index is 0; the first class is 1" },
    { call = function(m) return m.one_hot(m.tensor({ 1 }, { dtype = "float32" }), 3) end,
      message = "one_hot: index is float32; expected one of int64 int32" },
  },
}

-- gather.lua: samples and errors of gather.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4}, S.int({1, 3, 4}, 1, 2, "int64") }, options = { dim = 1 } },
    { args = { S.randn{2, 3, 4}, S.int({2, 2, 6}, 1, 4, "int64") }, options = { dim = 3 } },
    { args = { S.randn{2, 3, 4, 5}, S.int({2, 5, 4, 5}, 1, 3, "int64") }, options = { dim = 2 } },
    { args = { S.randn{2, 3, 4, 5}, S.int({2, 3, 4, 2}, 1, 5, "int64") }, options = { dim = -1 } },
    { args = { S.randn{2, 3, 4}, S.int({0, 3, 4}, 1, 2, "int64") }, options = { dim = 1 } },
    { args = { S.randn{5}, S.int({9}, 1, 5, "int64") }, options = { dim = 1 } },
  },
  errors = {
    { call = function(m)
        return m.gather(m.zeros{4, 5}, m.ones({ 5, 1 }, { dtype = "int64" }), 2)
      end,
      message = "gather: index {5, 1} does not fit x {4, 5}; only dimension 2 may be larger" },
    { call = function(m)
        return m.gather(m.zeros{4, 5}, m.tensor({ { 1, 6 }, { 5, 1 } }, { dtype = "int64" }), 2)
      end,
      message = "gather: index 2 of 4 is 6; positions of dimension 2 run 1..5" },
    { call = function(m) return m.gather(m.zeros{4, 5}, m.ones({ 2, 2 }), 2) end,
      message = "gather: index is float32; expected int64 positions",
      hint = 'index:to("int64")' },
  },
  -- the dimension may come first, as in PyTorch
  check = function(m)
    local x = m.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ { 2, 2 }, { 3, 4 } }, x:gather(2, m.tensor({ { 2, 2 }, { 1, 2 } }, { dtype = "int64" })):totable())
  end,
}

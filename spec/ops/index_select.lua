-- index_select.lua: samples and errors of index_select.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4}, S.int({5}, 1, 2, "int64") }, options = { dim = 1 } },
    { args = { S.randn{2, 3, 4}, S.int({4}, 1, 3, "int64") }, options = { dim = 2 } },
    { args = { S.randn{2, 3, 4, 5}, S.int({3}, 1, 5, "int64") }, options = { dim = -1 } },
    { args = { S.randn{2, 3, 4, 5}, S.int({3}, 1, 2, "int64") }, options = { dim = 1 } },
    { args = { S.randn{2, 3, 4}, S.int({0}, 1, 2, "int64") }, options = { dim = 1 } },
    { args = { S.int({4, 2}, 1, 9, "int64"), S.int({6}, 1, 4, "int64") }, options = { dim = 1 } },
  },
  errors = {
    { call = function(m)
        return m.index_select(m.zeros{4}, m.tensor({ 1, 5 }, { dtype = "int64" }), 1)
      end,
      message = "index_select: index 2 of 2 is 5; positions of dimension 1 run 1..4" },
    { call = function(m)
        return m.index_select(m.zeros{4}, m.tensor({ 0 }, { dtype = "int64" }), 1)
      end,
      message = "index_select: index 1 of 1 is 0; positions of dimension 1 run 1..4",
      hint = "positions counted from 0? add 1" },
    { call = function(m)
        return m.index_select(m.zeros{4}, m.tensor({ -1 }, { dtype = "int64" }), 1)
      end,
      message = "index_select: index 1 of 1 is -1; positions of dimension 1 run 1..4",
      hint = "inside a tensor of positions none counts from the end" },
    { call = function(m)
        return m.index_select(m.zeros{4}, m.tensor({ 1 }, { dtype = "float32" }), 1)
      end,
      message = "index_select: index is float32; expected int64 positions",
      hint = 'index:to("int64")' },
    { call = function(m)
        return m.index_select(m.zeros{4}, m.tensor({ { 1 } }, { dtype = "int64" }), 1)
      end,
      message = "index_select: index has 2 dimensions; expected 1" },
  },
  -- the dimension may come first, as in PyTorch
  check = function(m)
    local x = m.tensor { { 1, 2 }, { 3, 4 } }
    assert.same({ { 2 }, { 4 } }, x:index_select(2, m.tensor({ 2 }, { dtype = "int64" })):totable())
  end,
}

-- scatter_add.lua: samples and errors of scatter_add.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4}, S.int({1, 3, 4}, 1, 2, "int64"), S.randn{1, 3, 4} },
      options = { dim = 1 } },
    { args = { S.randn{2, 3, 4}, S.int({2, 2, 6}, 1, 4, "int64"), S.randn{2, 2, 6} },
      options = { dim = 3 } },
    { args = { S.randn{2, 3, 4, 5}, S.int({2, 5, 4, 5}, 1, 3, "int64"), S.randn{2, 5, 4, 5} },
      options = { dim = 2 } },
    { args = { S.randn{5}, S.int({9}, 1, 5, "int64"), S.randn{9} }, options = { dim = 1 } },
  },
  -- the dimension may come first, as in PyTorch
  check = function(m)
    local x = m.tensor { { 1, 2 }, { 3, 4 } }
    local y = x:scatter_add(-1, m.tensor({ { 1, 1 } }, { dtype = "int64" }), m.ones { 1, 2 })
    assert.same({ { 3, 2 }, { 3, 4 } }, y:totable())
  end,
}

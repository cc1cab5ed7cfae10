-- index_add.lua: samples and errors of index_add.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4}, S.int({5}, 1, 2, "int64"), S.randn{5, 3, 4} },
      options = { dim = 1 } },
    { args = { S.randn{2, 3, 4}, S.int({4}, 1, 3, "int64"), S.randn{2, 4, 4} },
      options = { dim = 2 } },
    { args = { S.randn{2, 3, 4, 5}, S.int({3}, 1, 5, "int64"), S.randn{2, 3, 4, 3} },
      options = { dim = -1 } },
    { args = { S.randn{2, 3, 4}, S.int({0}, 1, 2, "int64"), S.randn{0, 3, 4} },
      options = { dim = 1 } },
  },
  -- the dimension may come first, as in PyTorch
  check = function(m)
    local x = m.tensor { { 1, 2 }, { 3, 4 } }
    local y = x:index_add(1, m.tensor({ 2, 2 }, { dtype = "int64" }), m.ones { 2, 2 })
    assert.same({ { 1, 2 }, { 5, 6 } }, y:totable())
  end,
}

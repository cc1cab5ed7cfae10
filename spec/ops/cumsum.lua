-- cumsum.lua: samples and errors of cumsum.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{5} }, options = { dim = 1 } },
    { args = { S.randn{3, 4} }, options = { dim = 1 } },
    { args = { S.randn{3, 4} }, options = { dim = 2 } },
    { args = { S.randn{3, 4} }, options = { dim = -2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 2 } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = 4 } },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = 3 } },
    { args = { S.randn{0, 3} }, options = { dim = 1 } },
    { args = { S.randn{3, 0} }, options = { dim = 1 } },
    { args = { S.randn{} }, options = { dim = 1 } },
    { args = { S.randn{3, 4} }, positional = { 1 } },
    { args = { S.randn{40, 33} }, options = { dim = 1 }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int64") }, options = { dim = 1 }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int32") }, options = { dim = 1 }, grad = false },
    { args = { S.int({3, 4}, 0, 3, "uint8") }, options = { dim = 1 }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{2}:cumsum() end,
      message = "cumsum: option dim is missing" },
    { call = function(m) return m.zeros{2, 3}:cumsum(5) end,
      message = "cumsum: dimension 5 of a 2-dimensional tensor" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    assert.equal("int64", m.ones({ 3 }, { dtype = "bool" }):cumsum(1).dtype)
  end,
}

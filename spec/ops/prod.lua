-- prod.lua: samples and errors of prod.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, 0.5, 1.5) } },
    { args = { S.rand({3, 5}, 0.5, 1.5) }, options = { dim = 1 } },
    { args = { S.rand({3, 5}, 0.5, 1.5) }, options = { dim = 2 } },
    { args = { S.rand({3, 5}, 0.5, 1.5) }, options = { keepdim = true } },
    { args = { S.rand({3, 5}, 0.5, 1.5) }, options = { dim = 2, keepdim = true } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 1.5) } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 1.5) }, options = { dim = 2 } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 1.5) }, options = { dim = 4 } },
    { args = { S.rand({2, 3, 4, 5}, 0.5, 1.5) }, options = { dim = -1, keepdim = true } },
    { args = { S.rand({}, 0.5, 1.5) } },
    { args = { S.rand({}, 0.5, 1.5) }, options = { dim = 1 } },
    { args = { S.rand({1}, 0.5, 1.5) }, options = { dim = 1 } },
    { args = { S.rand({2, 1, 3, 2, 2}, 0.5, 1.5) }, options = { dim = 3 } },
    { args = { S.rand({2, 1, 3, 2, 2}, 0.5, 1.5) }, options = { dim = 2 } },
    { args = { S.rand({2, 1, 3, 2, 2}, 0.5, 1.5) } },
    { args = { S.rand({7, 1, 9}, 0.5, 1.5) }, options = { dim = 1 } },
    { args = { S.rand({0, 3}, 0.5, 1.5) }, options = { dim = 1 } },
    { args = { S.rand({3, 0}, 0.5, 1.5) }, options = { dim = 1 } },
    { args = { S.rand({0}, 0.5, 1.5) } },
    { args = { S.randn{3, 7} }, options = { dim = 2 } },
    { args = { S.values{ { 0, 2, 3 }, { 0, 0, 3 }, { 1, 2, 3 } } }, options = { dim = 2 } },
    { args = { S.int({3, 4}, -3, 3, "int64") }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int32") }, grad = false },
    { args = { S.int({3, 4}, 0, 3, "uint8") }, options = { dim = 1 }, grad = false },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:prod(5) end,
      message = "prod: dimension 5 of a 2-dimensional tensor" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    assert.equal(1, m.zeros({ 0 }):prod():item())
    assert.equal("int64", m.ones({ 3 }, { dtype = "int32" }):prod().dtype)
  end,
}

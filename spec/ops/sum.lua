-- sum.lua: samples and errors of sum.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{3, 5} } },
    { args = { S.randn{3, 5} }, options = { dim = { 1 } } },
    { args = { S.randn{3, 5} }, options = { dim = { 2 } } },
    { args = { S.randn{3, 5} }, options = { keepdim = true } },
    { args = { S.randn{3, 5} }, options = { dim = { 2 }, keepdim = true } },
    { args = { S.randn{2, 3, 4, 5} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 2 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 4 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { -1 }, keepdim = true } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 1, 3, 4 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 2, 4 } } },
    { args = { S.randn{2, 3, 4, 5} }, options = { dim = { 1, 2 } } },
    { args = { S.randn{} } },
    { args = { S.randn{} }, options = { dim = { 1 } } },
    { args = { S.randn{1} }, options = { dim = { 1 } } },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = { 3 } } },
    { args = { S.randn{2, 1, 3, 2, 2} }, options = { dim = { 2 } } },
    { args = { S.randn{2, 1, 3, 2, 2} } },
    { args = { S.randn{7, 1, 9} }, options = { dim = { 1 } } },
    { args = { S.randn{0, 3} }, options = { dim = { 1 } } },
    { args = { S.randn{3, 0} }, options = { dim = { 1 } } },
    { args = { S.randn{0} } },
    { args = { S.randn{40, 33, 50} }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = { 1, 3, 4 } }, grad = false },
    { args = { S.randn{4, 10, 33, 31} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{3000, 10} }, options = { dim = { 1 } }, grad = false },
    { args = { S.randn{2, 35001} }, options = { dim = { 2 } }, grad = false },
    { args = { S.randn{2, 5000, 3} }, options = { dim = { 2 } }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int64") }, grad = false },
    { args = { S.int({3, 4}, -3, 3, "int32") }, grad = false },
    { args = { S.int({3, 4}, 0, 3, "uint8") }, options = { dim = 1 }, grad = false },
    { args = { S.bool{3, 4} }, options = { dim = 2 }, grad = false },
    { args = { S.randn{2, 3, 4} }, positional = { 1, 3 } },
    { args = { S.randn{2, 3} }, options = { dim = {} } },
  },
  errors = {
    { call = function(m) return m.zeros{2, 3}:sum(5) end,
      message = "sum: dimension 5 of a 2-dimensional tensor" },
    { call = function(m) return m.zeros{2, 3}:sum({ 1, -2 }) end,
      message = "sum: dimension 1 is named twice" },
  },
  tolerance = { float32 = 1e-6 },
  check = function(m)
    assert.equal("int64", m.ones({ 3 }, { dtype = "bool" }):sum().dtype)
    assert.equal(0, m.zeros({ 0 }):sum():item())
    assert.same({}, m.ones({ 3 }):sum().shape)
    assert.equal(6, m.ones({ 2, 3 }):sum({}):item()) -- no dimension named: all
    assert.same({ 1, 1 }, m.ones({ 2, 3 }):sum({ keepdim = true }).shape)
    assert.equal(2 ^ 24 + 256, m.full({ 2 ^ 16 + 1 }, 256):sum():item()) -- beyond what a float counts
    local x = m.randn { 37, 4099 }
    local threads = m.get_num_threads()
    local a = x:sum():item()
    m.set_num_threads(1)
    assert.equal(a, x:sum():item())
    m.set_num_threads(threads)
  end,
}

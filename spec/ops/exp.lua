-- exp.lua: samples and errors of exp.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, -3, 3) } },
    { args = { S.rand({2, 3, 4, 5}, -3, 3) } },
    { args = { S.rand({}, -3, 3) } },
    { args = { S.rand({0, 3}, -3, 3) } },
    { args = { S.rand({1}, -3, 3) } },
    { args = { S.rand({2, 1, 3, 1, 2}, -3, 3) } },
    { args = { S.rand({7, 1, 9}, -3, 3) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, -3, 3) }, grad = false },
  },
  errors = {
    { call = function(m) return m.exp(2) end,
      message = "exp: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local y = m.exp(m.tensor { math.huge, -math.huge, 0 / 0, 89, -200 })
    assert.same({ math.huge, 0 }, { y[1]:item(), y[2]:item() })
    assert.is_true(y:isnan()[3]:item())
    assert.same({ math.huge, 0 }, { y[4]:item(), y[5]:item() })
    assert.equal("float32", m.exp(m.ones({ 2 }, { dtype = "int64" })).dtype)
  end,
}

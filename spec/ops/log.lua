-- log.lua: samples and errors of log.
local assert = require "luassert"
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.rand({3, 5}, 0.1, 5) } },
    { args = { S.rand({2, 3, 4, 5}, 0.1, 5) } },
    { args = { S.rand({}, 0.1, 5) } },
    { args = { S.rand({0, 3}, 0.1, 5) } },
    { args = { S.rand({1}, 0.1, 5) } },
    { args = { S.rand({2, 1, 3, 1, 2}, 0.1, 5) } },
    { args = { S.rand({7, 1, 9}, 0.1, 5) }, grad = false },
    { args = { S.rand({3, 11, 33, 35}, 0.1, 5) }, grad = false },
  },
  errors = {
    { call = function(m) return m.log(2) end,
      message = "log: argument 1 is missing" },
  },
  tolerance = { float32 = 2e-6 },
  check = function(m)
    local y = m.log(m.tensor { 0, math.huge, -1, 1 })
    assert.same({ -math.huge, math.huge, 0 }, { y[1]:item(), y[2]:item(), y[4]:item() })
    assert.is_true(y:isnan()[3]:item())
    assert.equal("float32", m.log(m.ones({ 2 }, { dtype = "int64" })).dtype)
  end,
}

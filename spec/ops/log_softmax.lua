-- Samples of log_softmax.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn { 3, 5 } }, options = { dim = 2 } },
    { args = { S.randn { 3, 5 } }, options = { dim = 1 }, name = "first dimension" },
    { args = { S.randn { 2, 3, 4, 5 } }, options = { dim = 2 }, name = "channels" },
    { args = { S.randn { 2, 3, 7 } }, options = { dim = -1 }, name = "from the end" },
    { args = { S.values { { 1000, 0, -1000, 999.5 }, { -1000, -1001, -1000, -1002 } } },
      options = { dim = 2 }, name = "large values" },
    { args = { S.randn { 5, 33 } }, options = { dim = 2 }, name = "33 classes" },
    { args = { S.randn { 4 } }, options = { dim = 1 }, name = "one dimension" },
    { args = { S.randn {} }, options = { dim = 1 }, name = "a single number" },
    { args = { S.randn { 3, 1 } }, options = { dim = 2 }, name = "one class" },
    { args = { S.randn { 0, 3 } }, options = { dim = 2 }, name = "empty batch" },
    { args = { S.randn { 3, 0 } }, options = { dim = 2 }, name = "no classes" },
  },
  errors = {
    { call = function(m) m.log_softmax(m.zeros { 2, 3 }, 5) end,
      message = "log_softmax: dimension 5 of a 2-dimensional tensor" },
    { call = function(m) m.log_softmax(m.zeros { 2, 3 }) end, message = "log_softmax: option dim is missing" },
    { call = function(m) m.log_softmax(m.zeros({ 2, 3 }, { dtype = "int64" }), 1) end,
      message = "log_softmax: x is int64; expected one of" },
  },
  tolerance = { float32 = 2e-6 },
}

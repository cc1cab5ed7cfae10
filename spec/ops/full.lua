-- full.lua: samples and errors of full.

return {
  samples = {
    { args = {  }, options = { shape = {2, 3}, value = 7 } },
    { args = {  }, options = { shape = {}, value = -1.5, dtype = "float64" } },
    { args = {  }, options = { shape = {0, 3} } },
    { args = {  }, options = { shape = {4}, value = 3, dtype = "int64" } },
    { args = {  }, options = { shape = {2, 1}, value = 1, dtype = "bool" } },
  },
  errors = {
    { call = function(m) return m.full({2}, 300, { dtype = "uint8" }) end,
      message = "full: value is 300; uint8 holds 0..255" },
    { call = function(m) return m.full({3, -1}, 0) end,
      message = "full: size of dimension 2 is -1; sizes must be 0 or more" },
    { call = function(m) return m.full({2 ^ 40, 2 ^ 40}, 0) end,
      message = "full: shape {1099511627776, 1099511627776} has more than 2^62 elements" },
  },
}

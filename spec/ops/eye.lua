-- eye.lua: samples and errors of eye.

return {
  samples = {
    { args = {  }, options = { n = 3 } },
    { args = {  }, options = { n = 2, m = 5 } },
    { args = {  }, options = { n = 4, m = 1, dtype = "int64" } },
    { args = {  }, options = { n = 0 } },
  },
  errors = {
    { call = function(m) return m.eye(-1) end,
      message = "eye: n is -1; must be 0 or more" },
  },
}

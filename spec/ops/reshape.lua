-- reshape.lua: samples and errors of reshape.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} }, options = { shape = {6, 4} } },
    { args = { S.randn{2, 3, 4} }, options = { shape = {4, -1} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { shape = {2, -1} } },
    { args = { S.randn{2, 3, 4, 5} }, options = { shape = {5, 4, 3, 2} } },
    { args = { S.randn{} }, options = { shape = {1} } },
    { args = { S.randn{1, 1} }, options = { shape = {} } },
    { args = { S.randn{0, 3} }, options = { shape = {3, 0, 2} } },
  },
  errors = {
    { call = function(m) return m.zeros{20}:reshape{7, -1} end,
      message = "reshape: 20 elements do not divide by 7" },
    { call = function(m) return m.zeros{0, 2}:reshape{0, -1} end,
      message = "reshape: beside a size of 0, a size of -1 could be any number" },
    { call = function(m) return m.zeros{20}:reshape{-2, 10} end,
      message = "reshape: size of dimension 1 is -2; sizes must be 0 or more, or -1" },
  },
}

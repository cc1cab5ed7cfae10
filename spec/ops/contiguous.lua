-- contiguous.lua: samples and errors of contiguous.
local S = require "spec.support.sample"

return {
  samples = {
    { args = { S.randn{2, 3, 4} } },
    { args = { S.randn{2, 3, 4, 5} } },
    { args = { S.randn{} } },
    { args = { S.randn{0, 3} } },
    { args = { S.randn{1, 5, 1, 7} } },
    { args = { S.int({2, 3}, 1, 9, "int64") } },
    { args = { S.bool{3, 3} } },
  },
}

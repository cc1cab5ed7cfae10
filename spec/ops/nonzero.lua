-- nonzero.lua: samples and errors of nonzero.
local S = require "spec.support.sample"

local function check(m)
  local rows = m.eye(3):nonzero():totable()
  for i = 1, 3 do
    assert(rows[i][1] == i and rows[i][2] == i, "subscripts count from 1")
  end
end

return {
  samples = {
    { args = { S.bool{2, 3, 4} } },
    { args = { S.bool{2, 3, 4, 5} } },
    { args = { S.int({5, 2}, 0, 2, "int64") } },
    { args = { S.randn{3} }, grad = false },
    { args = { S.randn{0, 3} }, grad = false },
    { args = { S.bool{} } },
  },
  check = check,
}

--- Which ops a function calls.

local mascon = require "mascon"

--- The numbers of calls while fn runs, by the name of the op.
---@param fn function
---@return table<string, integer>
return function(fn)
  local calls = {}
  for _, row in ipairs(mascon.profile(fn)) do
    calls[row.op] = row.calls
  end
  return calls
end

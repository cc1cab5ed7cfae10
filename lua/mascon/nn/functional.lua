--- nn.functional: the operations of the table under the names that PyTorch users look for.

local composed = require "mascon.nn.composed"
local op = require "mascon.op"
local options = require "mascon.options"

local function names()
  local list = {}
  for _, row in ipairs(op.list()) do
    if op.find(row.name) then
      list[#list + 1] = row.name
    end
  end
  for name in pairs(composed.functions) do
    list[#list + 1] = name
  end
  return list
end

return setmetatable({}, {
  __index = function(self, name)
    local f = type(name) == "string" and (composed.functions[name] or op.find(name)) or nil
    if not f then
      local nearest = type(name) == "string" and options.nearest(name, names())
      options.fail("nn.functional", ("there is no function %s"):format(options.show(name)),
        nearest and ("did you mean %s?"):format(nearest) or nil)
    end
    rawset(self, name, f)
    return f
  end,
})

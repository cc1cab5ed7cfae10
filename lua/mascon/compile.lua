--- mascon.compile: the name for recording a function once and replaying it without Lua. Not built yet.

local options = require "mascon.options"

local M = {}

--- Will record fn at its first call and replay it without Lua. Today it raises an error, so that no script
--- takes a plain call for a recorded one.
---@param fn function
---@return function
function M.compile(fn)
  if type(fn) ~= "function" then
    options.fail("compile", ("argument 1 is %s; expected a function"):format(options.show(fn)))
  end
  options.fail("compile", "unsupported: recording and replaying a function is not built yet",
    "call the function itself; mascon.save_model records a model for inference")
end

return M

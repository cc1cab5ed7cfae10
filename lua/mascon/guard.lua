--- Calls functions inside a mode: what was set is put back on return and on error, and a yield, which
--- would leak the mode into other code, is an error.

local options = require "mascon.options"

local M = {}

--- Like pcall, but that a yield inside fn is noticed: false, { yielded = name }.
---@param name string the function that errors name
---@param fn function
function M.call(name, fn, ...)
  if coroutine.running() == nil then
    return pcall(fn, ...) -- the main thread cannot yield
  end
  local co = coroutine.create(fn)
  local results = { coroutine.resume(co, ...) }
  if results[1] and coroutine.status(co) == "suspended" then
    return false, { yielded = name }
  end
  return unpack(results, 1, table.maxn(results))
end

--- Puts things back, then returns or raises what M.call or pcall gave.
---@param restore function
---@param good boolean
function M.finish(restore, good, ...)
  restore()
  if good then
    return ...
  end
  local err = ...
  if type(err) == "table" and err.yielded then
    options.fail(err.yielded, "the function given to it must not yield")
  end
  error(err, 0)
end

return M

--- Where mascon's own words go: progress bars and warnings to standard error, help to standard output, or
--- both to a function of the host.

local options = require "mascon.options"

local M = {}

local sink

--- Sends everything that mascon itself prints to fn(text, stream), stream being "stdout" or "stderr", in
--- pieces that end with a line; nil restores the process's own streams. For hosts that have no terminal.
---@param fn? fun(text: string, stream: string)
function M.set_output(fn)
  if fn ~= nil and type(fn) ~= "function" then
    options.fail("set_output", ("argument 1 is %s; expected a function or nil"):format(options.show(fn)))
  end
  sink = fn
end

--- Whether a host has taken the output.
function M.is_redirected()
  return sink ~= nil
end

local function stream(name)
  return { -- looked up at each write: a script may have put another file there
    write = function(self, ...)
      if sink then
        sink(table.concat({ ... }), name)
      else
        io[name]:write(...)
      end
      return self
    end,
    flush = function(self)
      if not sink then
        io[name]:flush()
      end
      return self
    end,
  }
end

--- Like io.stdout and io.stderr, as far as write and flush.
M.stdout, M.stderr = stream "stdout", stream "stderr"

--- One line of warning.
---@param text string without "mascon: warning: " and the line's end
function M.warn(text)
  M.stderr:write("mascon: warning: " .. text .. "\n")
end

return M

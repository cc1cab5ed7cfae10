--- What is typed at the prompt as Lua functions. They are interpreted, never compiled, so that Ctrl-C
-- reaches every loop in them; the functions of mascon are compiled as everywhere.

local lexer = require "mascon.repl.lexer"

local M = {}

local function interpreted(f)
  jit.off(f, true)
  return f
end

local function pass(...)
  return ...
end

local function is_unfinished(message)
  return message:find("near '<eof>'", 1, true) ~= nil
end

--- The function of an expression. Its value passes through a call, since a tail call would take the
--- prompt out of tracebacks.
local function expression(text)
  local f, message = loadstring("return " .. text, "=prompt")
  if not f then
    return nil, message
  end
  local close = text:find("--", 1, true) and "\n)" or ")" -- a line more would be named in errors
  f = loadstring("local pass = ... return pass(" .. text .. close, "=prompt")
  interpreted(f)
  return function()
    return f(pass)
  end
end

--- The function of an expression or of statements; nil, the message, and whether more lines may
--- complete it.
---@param text string
---@return function?, string?, boolean?
function M.compile(text)
  local f, first = expression(text)
  if f then
    return f
  end
  local message
  f, message = loadstring(lexer.without_local(text), "=prompt")
  if f then
    return interpreted(f)
  end
  return nil, message, is_unfinished(message) or is_unfinished(first)
end

--- The function of a file.
function M.file(path)
  local f, message = loadfile(path)
  if f then
    return interpreted(f)
  end
  return nil, message
end

return M

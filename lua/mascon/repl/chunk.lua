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

--- Whether more lines could complete the text. A string in quotes ends on its line, and a value alone
--- ("'=' expected") is a mistake far more often than the first line of an assignment.
local function is_unfinished(message, text)
  if message:find("unfinished string", 1, true) then
    return text:sub(-1) == "\\"
  end
  return message:find("near '<eof>'", 1, true) ~= nil and not message:find("'=' expected", 1, true)
end

--- "a = 1; f(a)": statements, then an expression whose value is wanted.
local function ending_in_expression(text)
  local last
  for _, token in ipairs(lexer.code(text)) do
    if token.kind == "symbol" and token.text == ";" then
      last = token.from
    end
  end
  local rest = last and text:sub(last + 1)
  if not rest or not rest:find "%S" or not loadstring("return " .. rest) then
    return nil
  end
  -- select keeps it from being a tail call, see expression
  return loadstring(lexer.without_local(text:sub(1, last)) .. "return select(1, " .. rest .. "\n)", "=prompt")
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
  f = ending_in_expression(text)
  if not f then
    f, message = loadstring(lexer.without_local(text), "=prompt")
  end
  if f then
    return interpreted(f)
  end
  return nil, message, is_unfinished(message, text) or is_unfinished(first, text)
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

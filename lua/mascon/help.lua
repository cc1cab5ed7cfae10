--- mascon.help: the documentation of an operation or class, from the op table and the classes' docs.

local op = require "mascon.op"
local options = require "mascon.options"

local M = {}

local function signature(row)
  local parts = {}
  for _, input in ipairs(row.inputs) do
    parts[#parts + 1] = input.list and "{" .. input.name .. ", ...}" or input.name
      .. (input.optional and "?" or "")
  end
  local names = {}
  for _, attr in ipairs(row.attrs) do
    if attr.type ~= "base" then
      names[#names + 1] = attr.name .. (attr.required and "" or " =")
    end
  end
  if #names > 0 then
    parts[#parts + 1] = "{" .. table.concat(names, ", ") .. "}"
  end
  local outs = {}
  for _, output in ipairs(row.outputs) do
    if not output.hidden then
      outs[#outs + 1] = output.name
    end
  end
  return ("mascon.%s(%s) -> %s"):format(row.name, table.concat(parts, ", "), table.concat(outs, ", "))
end

local function standard(attr)
  if attr.required then
    return "must be given"
  elseif not attr.standard then
    return "optional"
  elseif attr.type == "boolean" then
    return "default " .. tostring(attr.standard ~= 0)
  elseif attr.type == "choice" then
    return ('default "%s"'):format(attr.choices[attr.standard + 1])
  elseif attr.type == "dim" or attr.type == "index" then
    return "default " .. (attr.standard >= 0 and attr.standard + 1 or attr.standard)
  elseif attr.type == "dtype" or attr.type == "device" then
    return "optional"
  end
  return ("default %g"):format(attr.standard)
end

--- The text for an op's row.
---@param row table
---@return string
function M.text(row)
  local lines = { signature(row), "  " .. row.summary }
  for _, attr in ipairs(row.attrs) do
    if attr.type ~= "base" then
      local choices = attr.choices and " (" .. table.concat(attr.choices, ", ") .. ")" or ""
      lines[#lines + 1] = ("  %-16s %s%s; %s"):format(attr.name, attr.help, choices, standard(attr))
    end
  end
  if row.example then
    lines[#lines + 1] = "  example: " .. row.example
  end
  return table.concat(lines, "\n")
end

--- The documentation of an operation's function, or of a name, as text that is also printed.
---@param what function|string
---@return string
function M.help(what)
  local row = type(what) == "string" and op.row(what) or op.docs[what]
  local text = row and M.text(row)
  if not text and type(what) == "table" then
    text = rawget(what, "doc")
  end
  if not text then
    options.fail("help", ("no documentation for %s"):format(options.show(what)))
  end
  print(text)
  return text
end

return M

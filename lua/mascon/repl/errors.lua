--- Errors at the prompt: one block, the hint apart, and a guess where a name was mistyped.

local options = require "mascon.options"
local style = require "mascon.repl.style"

local M = {}

local function add_names(list, t)
  if type(t) == "table" then
    for name in next, t do
      if type(name) == "string" then
        list[#list + 1] = name
      end
    end
  end
end

--- "attempt to call method 'foward' (a nil value)": the name that was meant, where one is near.
local function guess(message)
  local kind, name = message:match "attempt to %a+ (%a+) '([%w_]+)' %(a nil value%)"
  local names = {}
  if kind == "global" then
    add_names(names, _G)
    add_names(names, (getmetatable(_G) or {}).names)
  elseif kind == "method" or kind == "field" then
    local tensor, module = package.loaded["mascon.tensor"], package.loaded["mascon.nn.module"]
    add_names(names, tensor and tensor.methods)
    add_names(names, module and module.Module)
    add_names(names, string)
  end
  local nearest = name and #name > 2 and options.nearest(name, names)
  return nearest and nearest ~= name and ('did you mean "%s"?'):format(nearest) or nil
end

--- The block for an error's value.
---@param value any
---@return string
function M.text(value)
  local message = type(value) == "string" and value or require("mascon.repl.show").text(value)
  if message:match("^[^\n]*"):find "interrupted$" then -- below it may stand in which module
    return style.paint("error", "interrupted")
  end
  local lines = {}
  for line in (message .. "\n"):gmatch "([^\n]*)\n" do
    if #lines == 0 then
      lines[1] = style.paint("error", "error: " .. line:gsub("^prompt:(%d+): ", function(number)
        return number == "1" and "" or ("line %s: "):format(number)
      end))
    else
      lines[#lines + 1] = line:find "^hint: " and style.paint("hint", line) or line
    end
  end
  local meant = guess(message)
  if meant then
    lines[#lines + 1] = style.paint("hint", "hint: " .. meant)
  end
  return table.concat(lines, "\n")
end

return M

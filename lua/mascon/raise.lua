--- The one funnel through which every error of mascon is raised.
-- Form: "file:line: op: what is wrong" at the user's line, then the call's inputs and options, then
-- "hint: ...", then "in Module.path" when the call happened inside a module.

local M = {}

local own = "@" .. (debug.getinfo(1, "S").source:match("^@(.*)raise%.lua$") or "?")

--- The function that runs a module's forward, its first argument the module; nn.Module sets it. The modules
--- that run at some moment are found by its calls on the stack: nothing can be left over from an error.
M.module_call = nil

--- Code that belongs to mascon: files beside this one and generated chunks.
local function is_own(source)
  return source:sub(1, #own) == own or source:sub(1, 7) == "=mascon"
end

--- "file:line" of the innermost frame that is not mascon's own, or nil.
---@return string?
function M.user_line()
  for level = 2, 200 do
    local info = debug.getinfo(level, "Sl")
    if not info then
      return nil
    end
    if info.what ~= "C" and not is_own(info.source) and info.currentline > 0 then
      return info.short_src .. ":" .. info.currentline
    end
  end
end

--- The name by which the user's code called mascon, or nil.
---@return string?
function M.called_name()
  for level = 2, 200 do
    local info = debug.getinfo(level, "Sl")
    if not info then
      return nil
    end
    if info.what ~= "C" and not is_own(info.source) and info.currentline > 0 then
      return debug.getinfo(level - 1, "n").name
    end
  end
end

local naming = false

--- parent:child_name(child), or nil where the parent's fields do not allow to look.
local function name_in(parent, child)
  naming = true
  local good, name = pcall(parent.child_name, parent, child)
  naming = false
  return good and name or nil
end

--- "SimpleCNN.conv_block_1.0" for the running module, or nil.
function M.module_path()
  local root
  if naming then -- an error about those fields
    return nil
  end
  local names = {}
  for level = 2, 200 do
    local info = debug.getinfo(level, "f")
    if not info then
      break
    end
    if info.func == M.module_call then
      local _, module = debug.getlocal(level, 1)
      local name = root and name_in(module, root)
      if root and not name then
        break
      end
      table.insert(names, 1, name)
      root = module
    end
  end
  if not root then
    return nil
  end
  table.insert(names, 1, root.class_name or "Module")
  return table.concat(names, ".")
end

--- Raises an error at the user's line.
---@param prefix string op, class or function
---@param message string what is wrong
---@param detail? string lines about inputs and options
---@param hint? string
function M.raise(prefix, message, detail, hint)
  local lines = { prefix ~= "" and prefix .. ": " .. message or message }
  if detail and detail ~= "" then
    lines[#lines + 1] = (detail:gsub("\n+$", ""))
  end
  if hint and hint ~= "" then
    lines[#lines + 1] = "hint: " .. hint
  end
  local path = M.module_path()
  if path then
    lines[#lines + 1] = "in " .. path
  end
  local line = M.user_line()
  local text = table.concat(lines, "\n")
  if #text > 1024 then
    text = text:sub(1, 1021) .. "..."
  end
  error(line and line .. ": " .. text or text, 0)
end

return M

--- The one funnel through which every error of mascon is raised.
-- Form: "file:line: op: what is wrong" at the user's line, then the call's inputs and options, then
-- "hint: ...", then "in Module.path" when the call happened inside a module.

local M = {}

local own = "@" .. (debug.getinfo(1, "S").source:match("^@(.*)raise%.lua$") or "?")

--- Modules whose forward runs at this moment, innermost last; nn.Module keeps it.
M.modules = {}
M.depth = 0

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

--- "SimpleCNN.conv_block_1.0" for the running module, or nil.
function M.module_path()
  local names = {}
  local i = M.depth
  while i > 1 do
    local child, parent = M.modules[i], M.modules[i - 1]
    local name = parent.child_name and parent:child_name(child)
    if not name then
      break
    end
    table.insert(names, 1, name)
    i = i - 1
  end
  local root = M.modules[i]
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
  local path = M.depth > 0 and M.module_path()
  if path then
    lines[#lines + 1] = "in " .. path
  end
  for i = 1, M.depth do
    M.modules[i] = false -- an error must keep no module alive
  end
  M.depth = 0
  local line = M.user_line()
  local text = table.concat(lines, "\n")
  if #text > 1024 then
    text = text:sub(1, 1021) .. "..."
  end
  error(line and line .. ": " .. text or text, 0)
end

return M

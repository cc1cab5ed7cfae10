--- Programs and files, for the specs that run others.

local M = {}

--- Runs a command of the shell: what it printed on both streams, and its exit status.
---@param command string
---@return string text, integer? status
function M.run(command)
  local pipe = io.popen("(" .. command .. ") 2>&1; echo \"status $?\"")
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("status (%d+)\n$", "")), tonumber(text:match "status (%d+)\n$")
end

function M.read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

function M.write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- A temporary file with this text.
---@param text string
---@return string path
function M.temporary(text)
  local path = os.tmpname()
  M.write(path, text)
  return path
end

return M

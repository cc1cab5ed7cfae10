--- The lines typed in earlier sessions, kept as plain text: one line each, the newest last.
-- Lines are appended as they are typed, so that sessions side by side and one that is killed lose nothing.

local M = {}

local KEPT, MOST = 1000, 2000 -- the file is cut to KEPT lines when it has more than MOST

local function exists(path)
  local file = io.open(path)
  return file ~= nil and file:close()
end

--- Where the lines are kept; nil where they are not: MASCON_HISTORY names the file, and with an empty
--- value there is none.
---@return string?
function M.path()
  local given = os.getenv "MASCON_HISTORY"
  if given then
    return given ~= "" and given or nil
  end
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if state and state:sub(1, 1) == "/" and exists(state .. "/.") then
    return state .. "/mascon_history"
  end
  return home and home ~= "" and home .. "/.mascon_history" or nil
end

local function read(path)
  local lines = {}
  local file = path and io.open(path)
  if file then
    for line in file:lines() do
      lines[#lines + 1] = line
    end
    file:close()
  end
  return lines
end

local function cut(path, lines)
  local file = io.open(path .. ".new", "w")
  if file then
    file:write(table.concat(lines, "\n", #lines - KEPT + 1), "\n")
    file:close()
    os.rename(path .. ".new", path)
  end
end

--- Gives the kept lines to remember(line), the oldest first.
---@param remember fun(line: string)
function M.load(remember)
  local path = M.path()
  local lines = read(path)
  if #lines > MOST then
    cut(path, lines)
  end
  for i = math.max(1, #lines - KEPT + 1), #lines do
    remember(lines[i])
  end
end

local last

--- Keeps a line for later sessions. A file that cannot be written is left alone.
---@param line string
function M.add(line)
  local path = M.path()
  if line == last or not path or not line:find "%S" then
    return
  end
  last = line
  local file = io.open(path, "a")
  if file then
    file:write(line, "\n")
    file:close()
  end
end

return M
